// core/threads.hpp - numbered jobs on a few threads, each with a workspace of its own.
//
// Threads live for one call: no pool outlives it, so fork and free-threaded Python need no care.
// The failure reported is the one with the lowest job number, whatever the timing.
#pragma once

#include <atomic>
#include <cstddef>
#include <algorithm>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "core/status.hpp"
#include "core/workspace.hpp"

namespace qc {

struct JobStatus {
    Status status;
    std::size_t job = 0;
};

// job(number, workspace) -> Status, for number in [0, jobs). Later jobs may be skipped after a failure.
template <class Job>
JobStatus run_jobs(std::size_t jobs, unsigned threads, Job&& job) {
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> first_bad{jobs};
    std::mutex mutex;
    JobStatus worst;
    auto work = [&](Workspace& workspace) noexcept {
        for (std::size_t k = next.fetch_add(1); k < jobs; k = next.fetch_add(1)) {
            if (k > first_bad.load()) break;
            Status status;
            try {
                status = job(k, workspace);
            } catch (const std::bad_alloc&) {
                status = {Code::kLimit, 0, "out of memory for scratch buffers"};
            }
            if (!status.ok()) {
                const std::lock_guard<std::mutex> lock(mutex);
                if (k < first_bad.load()) {
                    first_bad.store(k);
                    worst = {status, k};
                }
            }
        }
    };
    const std::size_t extra = std::min<std::size_t>(threads, jobs) > 1 ? std::min<std::size_t>(threads, jobs) - 1 : 0;
    std::vector<std::thread> pool;
    pool.reserve(extra);
    for (std::size_t k = 0; k < extra; ++k) {
        try {
            pool.emplace_back([&work]() noexcept {
                Workspace workspace;
                work(workspace);
            });
        } catch (const std::system_error&) {
            break;  // fewer threads than asked for are slower, not wrong
        }
    }
    // The caller's own scratch stays for its next call: fresh pages cost a tenth of a fast decode.
    thread_local Workspace mine;
    work(mine);
    for (std::thread& t : pool) t.join();
    return worst;
}

}  // namespace qc
