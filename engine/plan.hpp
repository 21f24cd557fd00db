// What a network is to the engine: tensors, parameters and steps. Plain data, the same for all instruction sets.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace convia {

using Int = std::int64_t;

enum class Kind { conv, pool_max, pool_average, unary, softmax, copy, join, noise, norm_frozen, norm_stats, norm_batch,
                  conv_transpose, prelu, penalty, norm_group, log_softmax, sparsemax, rectifier, mix, convert };
enum class Act { linear, relu, leaky_relu, elu, selu, tanh, sigmoid, softplus, exponential, capped_relu, hard_sigmoid,
                 hard_tanh, softsign, silu, gelu, gelu_tanh, mish, hard_silu, log_sigmoid, tanh_shrink, soft_shrink,
                 hard_shrink, squareplus, sparse_plus, sparse_sigmoid, absolute, square, root, logarithm,
                 reciprocal };  // from silu on: derivative from the input
enum class Join { add, subtract, multiply, average, maximum, minimum };
enum class LossKind { none, softmax_crossentropy, sigmoid_crossentropy, mean_squared, mean_absolute, mean_percentage,
                      mean_logarithmic, huber, log_cosh, poisson };
enum class Noise { dropout, add, multiply, alpha };  // Gaussian: add, multiply; for SELUs: alpha
enum class Rule { sgd, adam, rmsprop, adagrad };

// A tensor of a block: `lanes` samples are one vector, sizes and strides count vectors. Activations may lie within a
// halo of zeros, which is the padding of the convolutions that read them; gradients have none.
struct Tensor {
    Int c, d, h, w;
    Int at, cs, ds, hs;
    Int gat, gcs, gds, ghs;
    Int size() const { return c * d * h * w; }
};

struct Param {
    float* data;
    Int size;
    Int grad;  // offset in the buffer of gradients, -1 where nothing learns
    float l1, l2, decay;
    float* slots[3];
    float *sum = nullptr, *average = nullptr;  // of gradients that wait for an update; of the weight over time
    bool shared = false;  // threads may share its gradient, so that nothing is added up (Step::shared)
};

// One of the three convolutions of a step by Winograd's algorithm: tiles of 2 × 2 results, how many of them are worked on
// in a group and together, tiles of output channels, offsets of the channels, and where the packed kernels lie.
struct Winograd {
    bool used = false;
    Int h = 0, w = 0, group = 0, columns = 0, packed = 0;
    int tiles = 1;
    std::vector<std::int32_t> taps;
};

// Bytes q stand for the numbers (q − zero) · scale; a scale of 0: the numbers themselves.
struct Quantum { float scale = 0; std::int32_t zero = 0; };

struct Rectifier { float slope = 0, threshold = 0, low = 0, most = 0; };

// How one walks through the tensors of a sample, in floats: where it begins, and how far blocks of channels, planes, rows and
// pixels are apart.
struct Walk { Int at = 0, block = 0, plane = 0, row = 0, column = 0; };

// Tiles of results (rows by columns) of kernels of some size, of which Winograd's algorithm makes products, one per frequency.
struct WinogradForm {
    int rows, columns, kernel_rows, kernel_columns;
    constexpr int points(int results, int kernel) const { return kernel == 1 ? 1 : results + kernel - 1; }
    constexpr int high() const { return points(rows, kernel_rows); }
    constexpr int wide() const { return points(columns, kernel_columns); }
    constexpr int frequencies() const { return high() * wide(); }
};
constexpr WinogradForm WINOGRAD_FORMS[] = {{2, 2, 3, 3}, {4, 4, 3, 3}, {2, 2, 5, 5}, {1, 4, 1, 3}, {4, 1, 3, 1}, {1, 2, 1, 7}, {2, 1, 7, 1}};
constexpr int WINOGRADS = sizeof(WINOGRAD_FORMS) / sizeof(WinogradForm);

// The same with channels as lanes: tiles of which form (-1: not used), how many rows and columns of them there are, the first
// sample of a tile from that of a sweep, how many tiles are worked on together, and how far frequencies are apart in vectors.
struct WideWinograd {
    int form = -1;
    Int rows = 0, columns = 0, origin = 0, most = 0, in_step = 0, out_step = 0;
    bool flipped = false;  // the kernel
    std::vector<std::int32_t> taps;
};

// Sums over taps where channels are the lanes: a convolution's way forward, or one of its ways back (where it has strides, each
// of the places within a stride has other taps). Results, how they are cut into tiles of blocks of channels by pixels, where
// the packed kernel lies, the taps' offsets (block of channels by block) and their numbers in the kernel. Results of a part read
// channels of their own, so far from those of the part before.
struct Sweep {
    Walk in, out;
    Int blocks = 0, d = 1, h = 1, w = 1, channels = 0, tiles = 1, columns = 1, packed = 0, parts = 1, part_step = 0;
    std::vector<std::int32_t> taps, numbers;
    WideWinograd winograd;
};

// A step where channels are the lanes: what is applied to the sums of a convolution, where its shifts lie; what a copy moves,
// in floats.
struct Wide {
    struct Run { std::int32_t from, to, count; };
    bool depthwise = false;
    bool in_bytes = false;   // reads bytes, or makes them of numbers
    bool winograd_weights = false;  // the kernel's gradient is made from frequencies
    bool resident = false;  // all of a thread's share of the kernel's gradient stays in the cache
    Int parts = 1;           // of a convolution of groups: as many groups are taken together as fill vectors
    Sweep forward;
    std::vector<Sweep> back;
    Int shift = 0, scale = 0;
    std::vector<int> norm;   // γ, β, mean, variance of a normalization that follows, or empty
    float epsilon = 0;
    int heir = -1;           // of a sum, or what a normalization adds: the input whose gradient is the result's own, in its place
    int residual = -1;       // a tensor that is added before the activation
    Walk added;              // through it
    std::vector<Run> runs;
    bool clears = false;     // elements that nothing is copied to are zero
    Int moments = 0;         // normalization in training: place of what is the same for all samples
};

struct Step {
    Kind kind;
    int number = 0;  // among those that were added, before some were joined
    Act act = Act::linear;
    Join join = Join::add;
    Noise noise = Noise::dropout;
    float alpha = 0, rate = 0, epsilon = 0, momentum = 0;
    std::vector<int> ins;
    int out = -1;
    std::vector<std::uint8_t> wanted, fresh;  // per input: is its gradient needed; is this step the first to write it
    std::vector<int> params;                  // convolution: kernel, bias; normalization: γ, β, mean, variance; -1: none
    Int groups = 1, k[3] = {1, 1, 1}, s[3] = {1, 1, 1}, dil[3] = {1, 1, 1}, pad[3] = {0, 0, 0};
    Int again = -1;  // batches of more samples may make the result again on the way back instead of keeping it; -1: none
    bool skip_backward = false;  // the loss has differentiated this step together with itself
    bool centered = true;        // normalization of groups: subtract the mean
    int key = 0;                 // of the random numbers
    Rectifier rectifier;
    int axis = 0;                // mix: 0 depth, 1 height, 2 width
    std::vector<float> factors;  // mix: of its terms, whose places are in index (input) and member (output)
    std::vector<std::int32_t> from, to, grad_from, grad_to;  // copy: elements, in vectors
    std::vector<std::int32_t> index;   // per element: its parameter (PReLU, γ and β of groups) or its random number
    std::vector<std::int32_t> member;  // per element: the group that it is normalized with
    bool covers = true;                  // copy: every element of the input is read
    // convolution: offsets of the taps of a window in floats, and how the work is cut
    std::vector<std::int32_t> taps, back_taps;
    Int packed = 0, back_packed = 0;
    bool gathers = false;  // the samples of many taps are laid side by side
    bool dense = false;    // every element of the input for every one of the output
    bool stores = false;   // dense: the first to write the kernel's gradient, which is not zeroed before
    bool shared = false;   // dense: where all blocks are at hand, threads share the kernel's gradient rather than add it up
    int out_tiles = 1, in_tiles = 1;
    Winograd forward, back, weights;
    Wide wide;
    // the activation of the step before, where its derivative is applied as soon as this step has made the gradient
    Act derive = Act::linear;
    float derive_alpha = 0;
    bool derived = false;  // the next step does so for this one
    std::vector<Step> mirror;  // transposed convolution: the convolution whose way it goes back
    Int stats = 0;  // normalization: offset in the statistics

    bool convolves() const { return kind == Kind::conv || kind == Kind::conv_transpose; }
    // A convolution's windows slide over one tensor, whose sums are the other: a transposed one goes the other way.
    int large() const { return kind == Kind::conv_transpose ? out : ins[0]; }
    int small() const { return kind == Kind::conv_transpose ? ins[0] : out; }
};

struct Loss {
    LossKind kind = LossKind::none;
    int output = -1;   // the tensor with predictions
    int target = -1;   // the tensor whose gradient the loss writes
    bool fused = false;     // target is the input of the softmax or sigmoid that makes the predictions
    bool sparse = false;    // labels are class numbers
    bool logits = false;    // predictions are unnormalized scores
    int accuracy = 0;       // 0: none, 1: of the largest score, 2: of thresholds at ½
    float epsilon = 1e-7f, smoothing = 0, threshold = 0.5f, factor = 1, delta = 1;
};

struct Optimizer {
    Rule rule = Rule::sgd;
    double a = 0, b = 0, epsilon = 1e-7;  // momentum; β₁ and β₂; ρ and momentum
    bool variant = false;                 // nesterov, amsgrad, centered
    float clip_value = 0, clip_norm = 0, clip_global = 0;
    Int every = 1;                        // steps whose mean gradient makes an update
    float average_momentum = 0;           // of the weights' averages
    Int overwrite = 0;                    // updates after which averages take the weights' place, 0: never
};

struct Output {
    int tensor;
    Int size;  // numbers per sample
};

struct Plan {
    std::vector<Tensor> tensors;
    std::vector<Int> channels;  // of the tensors, where a block has L of them
    std::vector<Quantum> quanta;  // of the tensors, there
    std::vector<Param> params;
    std::vector<Step> steps;
    std::vector<Loss> losses;
    std::vector<Output> outputs;
    std::vector<int> inputs;
    std::vector<std::int32_t> near;  // offsets of taps whose samples lie side by side
    Optimizer optimizer;
    Int act_size = 0, grad_size = 0, weight_size = 0, packed_size = 0, scratch_size = 0, stats_size = 0;  // in vectors or floats
};

// The arrays of a call. Rows are samples in memory order (…, channels).
struct Data {
    struct Input { const void* data; bool bytes; };
    struct Target { const float* dense; const std::int32_t* labels; const float* weight; };
    std::vector<Input> inputs;
    std::vector<Target> targets;
    std::vector<float*> outputs;
    const Int* order = nullptr;
    Int samples = 0;
};

struct Tally { double loss = 0, hits = 0; };

// What a thread works with on one block of samples.
struct Block {
    float *act, *grad, *wgrad, *scratch;
    double* stats;
    const float* packed;
    const Data* data;
    Tally* tally;
    double* penalty;
    Int rows[64];       // of the arrays, one per lane; lanes beyond `live` repeat the last one
    int index, live, blocks, batch;
    bool foremost;      // of its thread in this pass
    Int first;          // place of the first sample within the batch
    Int place;          // of the first sample within all of the call, where predictions go
    bool training;
    bool sharing;       // gradients of kernels that threads share are left to `share_dense`
    const std::uint64_t* keys;  // of the random numbers, per Step::key
    // where channels are the lanes: so many samples lie `apart` floats from one another (their gradients `grad_apart`), `parts`
    // threads share them, and this one's blocks of channels are the tensors of `share`
    int group, part, parts;
    Int apart, grad_apart;
    const Plan* share;
    double* moments;  // of the normalizations, a thread's own
};

// With channels as lanes. Blocks are samples there; `gather` makes lanes of samples for a loss, `scatter` goes back.
struct WideKernels {
    int registers, most_blocks, most_columns, weight_blocks;
    int records, moments_of;  // numbers that a normalization keeps of a channel: per sample, and of all
    void (*load)(const Plan&, int input, Block&);
    void (*forward)(const Plan&, const Step&, Block&);
    void (*store)(const Plan&, Block&);
    void (*pack)(const Plan&, const Step&, float* packed, int part, int parts, bool forward, bool backward);
    void (*stats)(const Plan&, const Step&, Block&);
    void (*moments)(const Plan&, const Step&, Block&);
    void (*sums)(const Plan&, const Step&, Block&);
    void (*join_sums)(const Plan&, const Step&, Block&);
    void (*backward)(const Plan&, const Step&, Block&);
    void (*weights)(const Plan&, const Step&, Block&);
    void (*gather)(const Tensor& wide, const float* act, const Tensor& narrow, float* to, int lane);
    void (*scatter)(const Tensor& narrow, const float* grad, int lane, const Tensor& wide, float* to);
    Int (*winograd_weights_size)(const Tensor& in, const Tensor& out, Int threads);  // floats that a thread needs
};

// The same on bytes. `load` takes the samples of one input.
struct ByteKernels {
    int registers;
    void (*load)(const Plan&, int input, Block&);
    void (*forward)(const Plan&, const Step&, Block&);
    void (*pack)(const Plan&, const Step&, float* packed, int part, int parts);
};

struct Kernels {
    const char* name;
    int lanes, accumulators, widest, weight_rows, most_rows, chunk;  // of the register tiles; bytes of a working set
    double (*peak)(int rounds);
    void (*load)(const Plan&, Block&);
    void (*forward)(const Plan&, const Step&, Block&);
    void (*backward)(const Plan&, const Step&, Block&);
    void (*sums)(const Plan&, const Step&, Block&);  // first half of the backward pass of a normalization
    void (*loss)(const Plan&, int, Block&);
    void (*store)(const Plan&, Block&);
    void (*pack)(const Plan&, const Step&, float* packed, int part, int parts, bool backward);
    // the gradient of a dense layer's kernel from one block, outputs from … to; `first` stores, else it is added
    void (*dense_weights)(const Plan&, const Step&, const Block&, float* target, Int from, Int to, bool first);
    // add the threads' gradients and the penalties' up into `sum`; return the penalty and the squared norm; gradients
    // that wait for an update are summed up, and their mean is returned when it is due
    void (*reduce)(const Optimizer&, const Param&, float* sum, const float* const* grads, int threads, bool due, Int from,
                   Int to, double* penalty, double* norm);
    void (*update)(const Optimizer&, const Param&, float* grad, float scale, double rate, Int t, Int from, Int to);
    void (*average)(const Optimizer&, const Param&, Int t, Int from, Int to);
    const WideKernels* wide;
};

const Kernels* kernels_portable();
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();
const Kernels* kernels_neon();
const WideKernels* wide_kernels_portable();
const WideKernels* wide_kernels_avx2();
const WideKernels* wide_kernels_avx512();
const WideKernels* wide_kernels_neon();
const ByteKernels* byte_kernels_portable();
const ByteKernels* byte_kernels_avx2();
const ByteKernels* byte_kernels_avx2_vnni();
const ByteKernels* byte_kernels_avx512();
const ByteKernels* byte_kernels_avx512_vnni();
const ByteKernels* byte_kernels_neon();

// Planes a power of two apart would fall into the same sets of the cache.
inline Int spread(Int plane) {
    while (plane > 16 && plane % 16 != 9) plane++;
    return plane;
}

inline Int tiles_of(Int n, Int most) { return (n + most - 1) / most; }

inline Int cut(Int n, Int parts, Int i) { return n * i / parts; }  // start of part i

// The first of the blocks of results of a tile; no tile has those of two parts.
inline Int first_block(const Sweep& s, Int tile) {
    Int tiles = s.tiles / s.parts, blocks = s.blocks / s.parts;
    return tile / tiles * blocks + cut(blocks, tiles, tile % tiles);
}

}  // namespace convia
