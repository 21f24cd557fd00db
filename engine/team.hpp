// Threads that wait for work, and where they meet in between.
#pragma once
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace convia {

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

constexpr int SPINS = 4000;  // some tens of microseconds; then the thread sleeps

class Barrier {
public:
    explicit Barrier(int threads) : threads_(threads) {}
    void wait() {
        if (threads_ == 1) return;
        unsigned round = round_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            waiting_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            round_.notify_all();
            return;
        }
        for (int i = 0; i < SPINS; i++) {
            if (round_.load(std::memory_order_acquire) != round) return;
            relax();
        }
        while (round_.load(std::memory_order_acquire) == round) round_.wait(round, std::memory_order_acquire);
    }

private:
    int threads_;
    std::atomic<int> waiting_{0};
    std::atomic<unsigned> round_{0};
};

// The caller is thread 0.
class Team {
public:
    explicit Team(int threads) : threads(threads) {
        for (int k = 1; k < threads; k++) workers_.emplace_back([this, k] { loop(k); });
    }
    ~Team() {
        stop_ = true;
        round_.fetch_add(1);
        round_.notify_all();
        for (auto& worker : workers_) worker.join();
    }
    Team(const Team&) = delete;

    const int threads;

    // Call work(thread) in all threads and wait for them.
    void run(const std::function<void(int)>& work) {
        work_ = &work;
        busy_ = threads - 1;
        if (threads > 1) {
            round_.fetch_add(1, std::memory_order_release);
            round_.notify_all();
        }
        work(0);
        for (int left; (left = busy_.load(std::memory_order_acquire)) > 0;) {
            for (int i = 0; i < SPINS && busy_.load(std::memory_order_acquire) > 0; i++) relax();
            if ((left = busy_.load(std::memory_order_acquire)) > 0) busy_.wait(left, std::memory_order_acquire);
        }
    }

private:
    void loop(int thread) {
        unsigned seen = 0;
        while (true) {
            for (int i = 0; i < SPINS && round_.load(std::memory_order_acquire) == seen; i++) relax();
            while (round_.load(std::memory_order_acquire) == seen) round_.wait(seen, std::memory_order_acquire);
            seen = round_.load(std::memory_order_acquire);
            if (stop_) return;
            (*work_)(thread);
            if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_all();
        }
    }

    const std::function<void(int)>* work_ = nullptr;
    std::atomic<unsigned> round_{0};
    std::atomic<int> busy_{0};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> workers_;
};

}  // namespace convia
