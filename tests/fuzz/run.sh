#!/usr/bin/env bash
# Fuzzes the native decoders under ASan and UBSan: tests/fuzz/run.sh [seconds per target, default 60].
# With clang++ it uses libFuzzer, guided by coverage; without, g++ and random inputs. See README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cxx=$(compgen -c | grep -xE 'clang\+\+(-[0-9]+)?' | sort -uV | tail -1 || true)
flags=(-std=c++20 -O1 -ffp-contract=off -fno-omit-frame-pointer -Icsrc -w)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)
if [ -n "$cxx" ]; then
    flags+=(-fsanitize=fuzzer-no-link -DQC_LIBFUZZER)
    link=(-fsanitize=fuzzer)
    options=(-max_total_time="$seconds" -max_len=600 -len_control=0 -print_final_stats=1 "$build/seeds")
else
    cxx=g++
    flags+=(-g1)
    link=()
    options=("$seconds")
fi
echo "$cxx, ${link[*]:-random inputs}"

# Choices first, then symbols, of which small ones are frequent: targets encode them themselves.
mkdir "$build/seeds"
for k in $(seq 64); do
    head -c 64 /dev/urandom > "$build/seeds/$k"
    head -c 300 /dev/urandom |
        LC_ALL=C tr '\000-\377' '[\000*128][\001*64][\002*32][\003*16][\004*16]' >> "$build/seeds/$k"
done

# Clang takes minutes to instrument a kernel of AVX-512: where none can run, they go without.
instrumented() {
    grep -q avx512f /proc/cpuinfo || ! grep -q QC_TARGET "$1" ||
        grep 'QC_TARGET(' "$1" | grep -qv avx512
}
for source in $(find csrc -name '*.cpp' ! -path 'csrc/bind/*'); do
    [ "$(jobs -rp | wc -l)" -lt "${QCODEC_BUILD_JOBS:-$(nproc)}" ] || wait -n
    checks=()
    if instrumented "$source"; then checks=("${sanitize[@]}"); fi
    "$cxx" "${flags[@]}" "${checks[@]}" -c "$source" -o "$build/$(tr / _ <<< "${source%.cpp}").o" &
done
for job in $(jobs -p); do wait "$job"; done

for target in tests/fuzz/fuzz_*.cpp; do
    name=$(basename "$target" .cpp)
    echo "== $name"
    "$cxx" "${flags[@]}" "${sanitize[@]}" "${link[@]}" "$target" "$build"/*.o -lpthread -o "$build/$name"
    "$build/$name" "${options[@]}"
done
