// A network for predictions with channels as lanes: steps are joined where one pass can do the work of several, tensors share
// memory, and threads share samples or, where there are fewer of those, each sample.
#pragma once
#include "network.hpp"

namespace convia {

class WideNetwork {
public:
    WideNetwork(const Kernels* kernels, int threads) : kernels(kernels), threads(threads), barrier_(threads), team_(threads) {}
    WideNetwork(const WideNetwork&) = delete;

    Plan plan;  // copies name elements by their numbers until `finish`
    const Kernels* kernels;
    int threads;
    bool profiling = false;

    int add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]);
    void finish();
    void run(const Data& data, std::uint64_t version);  // of the weights: kernels are packed anew where it differs
    Int bytes() const { return bytes_; }
    std::vector<Timing> timings() const;  // of the runs since `profiling` was set

private:
    struct Sides { Int before[3], after[3]; };
    struct Memory { Floats act; Int size = 0; std::map<int, double> seconds; };

    void join_steps();
    bool join_next(Step& s, std::size_t place);
    void lay_out();
    void cut_convolution(Step& s);
    void find_runs(Step& s);
    void find_gaps();
    void clear_halo(const Block& b, int tensor) const;
    std::uint64_t fingerprint(std::uint64_t version) const;
    void take_steps(int thread, Block& b, std::size_t from, std::size_t to, bool together);
    void predict(int thread, const Data& data, Int first, Int samples, bool together);

    std::vector<Sides> sides_;
    std::vector<Plan> shares_;  // of the threads where they share a sample: tensors of some blocks of channels
    std::vector<Memory> memory_;
    Floats packed_;
    Int bytes_ = 0;
    std::size_t early_ = 0;  // steps that samples take one by one: tensors are larger than kernels
    double predicted_ = 0;
    std::uint64_t packed_version_ = 0;  // nothing is packed yet
    Barrier barrier_;
    Team team_;  // the last member: its threads see all others
};

}  // namespace convia
