#!/usr/bin/env bash
# Fuzzes the native decoders under ASan and UBSan: tests/fuzz/run.sh [seconds per target, default 60].
# With clang++ it uses libFuzzer (coverage-guided); with g++ alone, random inputs.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
flags=(-std=c++20 -O1 -g -ffp-contract=off -fno-omit-frame-pointer -Icsrc -w)
flags+=(-fsanitize=address,undefined -fno-sanitize-recover=all)
sources=$(find csrc -name '*.cpp' ! -path 'csrc/bind/*')
for target in fuzz_stream fuzz_chunk fuzz_parts; do
    if command -v clang++ > /dev/null; then
        # shellcheck disable=SC2086
        clang++ "${flags[@]}" -fsanitize=fuzzer -DQC_LIBFUZZER $sources "tests/fuzz/$target.cpp" \
            -o "$build/$target" -lpthread
        "$build/$target" -max_total_time="$seconds" -max_len=600 -print_final_stats=1
    else
        # shellcheck disable=SC2086
        g++ "${flags[@]}" $sources "tests/fuzz/$target.cpp" -o "$build/$target" -lpthread
        "$build/$target" "$seconds"
    fi
done
