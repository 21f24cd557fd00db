// What the networks with channels as lanes have in common: tensors within halos, sweeps cut into tiles, memory that is shared by
// what is needed at different times.
#pragma once
#include "network.hpp"

namespace convia {

class WideLayout {
public:
    WideLayout(const Kernels* kernels, int threads) : kernels(kernels), threads(threads), barrier_(threads), team_(threads) {}
    WideLayout(const WideLayout&) = delete;

    Plan plan;  // copies name elements by their numbers until `finish`
    const Kernels* kernels;
    const ByteKernels* byte_kernels = nullptr;  // where there are tensors of bytes
    int threads;
    bool profiling = false;

    int add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]);
    Int bytes() const { return bytes_; }

protected:
    struct Sides { Int before[3], after[3]; };
    struct Life { int tensor; Int from, to; };  // the first and the last moment at which it is needed

    void set_strides();
    Int share_memory(std::vector<Life> lives, Int Tensor::*place);  // returns the vectors that all need together
    int only_reader(int tensor) const;  // the step; -1 where there are others, or outputs or losses
    void find_groups();
    void cut_convolution(Step& s);
    void cut_back(Step& s);
    void place_shifts(Step& s);
    void widen_for_back(const Step& s);
    void widen_for_windows(const Step& s);
    void find_runs(Step& s);
    void place_factors(Step& s);
    void find_gaps();
    void clear_halo(const Block& b, int tensor, bool gradient) const;
    Int origin(int tensor) const;  // vectors of the halo before the first element

    Walk through(int tensor, bool gradient) const;
    bool is_even(int tensor) const;
    bool is_flat(const Step& s) const;
    void choose_tile(Sweep& sweep, Int width, Int registers);
    void cut_sweep(Sweep& sweep, bool depthwise);
    void cut_bytes(Step& s);
    bool is_bytes(int tensor) const { return plan.quanta[tensor].scale > 0; }
    void choose_winograd(Sweep& sweep, const Step& s);

    int most_points_ = 6;    // of Winograd's algorithm along an axis: the more, the fewer products, and the fewer digits
    Int winograd_size_ = 0;  // floats that a thread needs for it

    std::vector<Sides> sides_;
    Int bytes_ = 0;
    Barrier barrier_;
    Team team_;  // sleeps whenever no call is running
};

}  // namespace convia
