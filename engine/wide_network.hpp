// A network for predictions with channels as lanes: steps are joined where one pass can do the work of several, tensors share
// memory, and threads share samples or, where there are fewer of those, each sample.
#pragma once
#include "wide_layout.hpp"

namespace convia {

class WideNetwork : public WideLayout {
public:
    WideNetwork(const Kernels* kernels, int threads) : WideLayout(kernels, threads) { most_points_ = 8; }

    void finish();
    std::vector<int> kept() const;                      // the tensors that are left where steps are joined
    void run(const Data& data, std::uint64_t version);  // of the weights: kernels are packed anew where it differs
    std::vector<Timing> timings() const;                // of the runs since `profiling` was set

private:
    struct Memory { Floats act, scratch; Int size = 0; std::map<int, double> seconds; };

    void join_steps();
    bool join_next(Step& s, std::size_t place);
    void lay_out();
    void choose_bytes();
    bool can_take_bytes(const Step& s) const;
    void find_bytes();
    void convert(int tensor, bool needs_bytes);
    std::uint64_t fingerprint(std::uint64_t version) const;
    void take_steps(int thread, Block& b, std::size_t from, std::size_t to, bool together);
    void predict(int thread, const Data& data, Int first, Int samples, bool together);

    std::vector<Plan> shares_;  // of the threads where they share a sample: tensors of some blocks of channels
    std::vector<Memory> memory_;
    Floats packed_;
    std::size_t early_ = 0;  // steps that samples take one by one: tensors are larger than kernels
    double predicted_ = 0;
    std::uint64_t packed_version_ = 0;  // nothing is packed yet
};

}  // namespace convia
