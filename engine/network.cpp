#include "network.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#if __linux__
#include <sys/mman.h>
#endif

namespace convia {

namespace {

constexpr Int PACKED_ALONE = 65536;  // floats of kernels that each thread packs for itself rather than wait for others
constexpr std::uintptr_t HUGE_PAGE = 2 << 20;

// Ask for huge pages within a block: where each write goes far from the last one, small ones cost more than the work.
void prefer_huge_pages(void* block, std::size_t size) {
#if __linux__
    auto start = (std::uintptr_t(block) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, end = (std::uintptr_t(block) + size) / HUGE_PAGE * HUGE_PAGE;
    if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#else
    (void)block, (void)size;
#endif
}

}  // namespace

Floats allocate(Int count, Int& bytes) {
    std::size_t size = (std::size_t(count) * sizeof(float) + 4096) / 64 * 64;
    void* p = operator new(size, ALIGNMENT);
    prefer_huge_pages(p, size);
    std::memset(p, 0, size);
    bytes += size;
    return Floats(static_cast<float*>(p));
}

std::vector<std::uint64_t> keys_of(const Job& job, Int step) {
    auto mixed = [](std::uint64_t x) {  // splitmix64
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
    };
    std::vector<std::uint64_t> keys;
    for (std::uint64_t key : job.keys) keys.push_back(mixed(key + mixed(job.t + step)));
    return keys;
}

int Network::add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]) {
    Tensor t{c, d, h, w, 0, 0, 0, 0, 0, 0, 0, 0};
    t.hs = w + before[2] + after[2];
    t.ds = t.hs * (h + before[1] + after[1]);
    t.cs = spread(t.ds * (d + before[0] + after[0]));
    t.at = plan.act_size + before[0] * t.ds + before[1] * t.hs + before[2];
    plan.act_size += c * t.cs;
    t.ghs = w;
    t.gds = h * w;
    t.gcs = spread(d * h * w);
    t.gat = plan.grad_size;
    plan.grad_size += c * t.gcs;
    plan.tensors.push_back(t);
    return int(plan.tensors.size()) - 1;
}

// Offsets of the taps of a window, places of the packed kernels, and the size of the register tiles.
void Network::cut_convolution(Step& s) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int ig = x.c / s.groups, og = y.c / s.groups, lanes = kernels->lanes;
    for (Int i = 0; i < ig; i++)
        for (Int z = 0; z < s.k[0]; z++)
            for (Int ky = 0; ky < s.k[1]; ky++)
                for (Int kx = 0; kx < s.k[2]; kx++)
                    s.taps.push_back((i * x.cs + z * s.dil[0] * x.ds + ky * s.dil[1] * x.hs + kx * s.dil[2]) * lanes);
    for (Int ky = 0; ky < s.k[1]; ky++)
        for (Int o = 0; o < og; o++) s.back_taps.push_back((o * y.gcs - ky * s.dil[1] * y.ghs) * lanes);
    Int columns = tiles_of(y.w, tiles_of(y.w, kernels->widest));
    Int rows = std::min<Int>(kernels->most_rows, kernels->accumulators / columns);
    s.out_tiles = tiles_of(og, rows);
    s.in_tiles = tiles_of(ig, rows);
    s.dense = x.size() == x.c && Int(s.taps.size()) == x.c && y.size() == y.c;
    plan.scratch_size = std::max(plan.scratch_size, y.c * lanes);  // for the gradient of the bias
    if (s.dense) return;
    Int size = y.c * Int(s.taps.size());
    s.packed = plan.packed_size;
    s.back_packed = plan.packed_size + size;
    plan.packed_size += 2 * size;
    s.gathers = std::min(x.w, y.w) > 1;
    Int scratch = kernels->weight_rows * Int(s.taps.size());
    Int near = std::min<Int>(std::max(s.taps.size(), s.back_taps.size()), kernels->chunk * 3 / (lanes * 4) + 1);
    for (Int t = Int(plan.near.size()); s.gathers && t < near; t++) plan.near.push_back(t * kernels->widest * lanes);
    if (s.gathers) scratch = std::max(scratch, near * kernels->widest);
    plan.scratch_size = std::max(plan.scratch_size, scratch * lanes);
}

// Where Winograd's algorithm saves work: its products and transforms, against the products of all taps.
void Network::cut_winograd(Step& s) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    auto is = [](const Int* v, Int z, Int h, Int w) { return v[0] == z && v[1] == h && v[2] == w; };
    bool fits = is(s.k, 1, 3, 3) && is(s.s, 1, 1, 1) && is(s.dil, 1, 1, 1) && s.groups == 1 && x.d == 1 && s.pad[0] == 0;
    if (!fits || std::min(x.c, y.c) < 16) return;
    Int lanes = kernels->lanes, direct = 9 * y.h * y.w, kernels_size = 16 * x.c * y.c;
    auto matrices = [&](Winograd& way, const Tensor& from, const Tensor& to) {
        way.h = tiles_of(to.h, 2), way.w = tiles_of(to.w, 2);
        way.used = 16 * way.h * way.w * 23 / 20 < direct;
        if (!way.used) return;
        Int per_tile = 16 * (from.c + to.c), most = kernels_size / (per_tile * lanes) / kernels->widest * kernels->widest;
        way.group = std::min(way.h * way.w, std::max<Int>(most, kernels->widest));  // samples no larger than kernels
        way.columns = std::min<Int>(way.group, kernels->widest);
        way.tiles = tiles_of(to.c, std::min<Int>(kernels->most_rows, kernels->accumulators / way.columns));
        for (Int i = 0; i < from.c; i++) way.taps.push_back(i * way.group * lanes);
        way.packed = plan.packed_size;
        plan.packed_size += kernels_size;
        plan.scratch_size = std::max(plan.scratch_size, (per_tile * way.group + 32) * lanes);
    };
    matrices(s.forward, x, y);
    matrices(s.back, y, x);
    Winograd& way = s.weights;
    way.h = tiles_of(y.h, 2), way.w = tiles_of(y.w, 2);
    way.used = 16 * way.h * way.w * 5 / 4 < direct;
    if (!way.used) return;
    Int ins = tiles_of(x.c, lanes) * lanes, outs = tiles_of(y.c, lanes) * lanes;
    way.group = std::clamp<Int>(131072 / (16 * lanes * (ins + outs)), 1, way.h * way.w);  // half a mebibyte
    for (Int t = 0; t < way.group * lanes; t++) way.taps.push_back(t * ins);
    plan.scratch_size = std::max(plan.scratch_size, 16 * (y.c * ins + way.group * lanes * (ins + outs)));
}

// The convolution from the output of a transposed one to its input. Its tensors see activations as gradients, and the
// other way round; what is an activation to it lies among the gradients.
void Network::mirror_convolution(Step& s, bool training) {
    const Tensor x = plan.tensors[s.ins[0]], y = plan.tensors[s.out];
    const Int small[3] = {x.d, x.h, x.w}, large[3] = {y.d, y.h, y.w};
    Int sizes[3];  // of the large one, within its halo
    for (int a = 0; a < 3; a++)
        sizes[a] = s.pad[a] + std::max(large[a], (small[a] - 1) * s.s[a] + (s.k[a] - 1) * s.dil[a] + 1 - s.pad[a]);
    auto add = [&](const Tensor& seen, const Int size[3], const Int pad[3]) {
        Tensor t{seen.c, seen.d, seen.h, seen.w, 0, 0, size[1] * size[2], size[2], seen.at, seen.cs, seen.ds, seen.hs};
        t.cs = spread(size[0] * t.ds);
        t.at = plan.grad_size + pad[0] * t.ds + pad[1] * t.hs + pad[2];
        if (training) plan.grad_size += t.c * t.cs;
        plan.tensors.push_back(t);
        return int(plan.tensors.size()) - 1;
    };
    const Int none[3] = {0, 0, 0};
    Step m = s;
    m.act = Act::linear;
    m.params[1] = -1;
    m.ins = {add(y, sizes, s.pad)};
    m.out = add(x, small, none);
    m.wanted = m.fresh = {1};
    cut_convolution(m);
    plan.scratch_size = std::max(plan.scratch_size, y.c * kernels->lanes);
    s.mirror = {std::move(m)};
}

// A convolution's activation is differentiated by the step that makes its gradient, while that is in the cache.
void Network::plan_derivatives() {
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        Step& s = plan.steps[i];
        if (s.kind != Kind::conv || s.act == Act::linear || !graded_[i]) continue;
        for (std::size_t j = i + 1; j < plan.steps.size(); j++) {
            Step& next = plan.steps[j];
            bool able = next.kind == Kind::conv || next.kind == Kind::pool_max || next.kind == Kind::pool_average;
            if (!able || !graded_[j] || next.ins != std::vector<int>{s.out} || !next.wanted[0] || !next.fresh[0]) continue;
            if (readers(s.out) != 1) continue;
            next.derive = s.act;
            next.derive_alpha = s.alpha;
            s.derived = true;
        }
    }
}

int Network::readers(int tensor) const {
    int count = 0;
    for (const Step& s : plan.steps) count += int(std::count(s.ins.begin(), s.ins.end(), tensor));
    for (const Loss& loss : plan.losses) count += loss.target == tensor;
    return count;
}

// Kernels of dense layers are large and their gradients are written whole, so those need not be zero before.
void Network::plan_zeros() {
    std::vector<std::uint8_t> written(plan.params.size());
    for (std::size_t i = plan.steps.size(); i-- > 0;)
        for (int p : plan.steps[i].params)
            if (p >= 0 && graded_[i]) {
                bool kernel = plan.steps[i].dense && p == plan.steps[i].params[0];
                if (kernel) plan.steps[i].stores = !written[p];
                written[p] = written[p] ? written[p] : kernel ? 1 : 2;
            }
    zeros_ = unwritten(plan, written);
}

// Kernels of dense layers are the largest: rather than add up what each thread has made of its blocks, threads make a share of
// the gradient of all blocks. It costs them the transposition of all samples, which many outputs have to make up for.
void Network::plan_shares() {
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        Step& s = plan.steps[i];
        if (!graded_[i] || !s.stores || plan.tensors[s.out].c < kernels->lanes * threads) continue;
        int users = 0;
        for (const Step& other : plan.steps) users += int(std::count(other.params.begin(), other.params.end(), s.params[0]));
        s.shared = plan.params[s.params[0]].shared = users == 1;
    }
}

void Network::plan_phases(Phases& phases, bool training) {
    phases.assign(1, {{Pass::load, 0}});
    auto add = [&](Pass pass, std::size_t index) { phases.back().push_back({pass, int(index)}); };
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        bool stats = plan.steps[i].kind == Kind::norm_stats;
        if (stats && !training) continue;
        add(Pass::forward, i);
        if (stats) phases.emplace_back();
    }
    if (!training) return;
    for (std::size_t k = 0; k < plan.losses.size(); k++) add(Pass::loss, k);
    add(Pass::store, 0);
    for (std::size_t i = plan.steps.size(); i-- > 0;) {
        if (!graded_[i]) continue;
        if (plan.steps[i].kind == Kind::norm_batch) {
            add(Pass::sums, i);
            phases.emplace_back();
        }
        if (plan.steps[i].kind == Kind::norm_frozen && learns(plan, plan.steps[i])) add(Pass::sums, i);
        add(Pass::backward, i);
    }
}

void Network::finish(Int largest_batch, bool training) {
    Int blocks = tiles_of(largest_batch, kernels->lanes);
    for (Step& s : plan.steps) {
        if (s.kind == Kind::conv) {
            cut_convolution(s);
            cut_winograd(s);
        }
        if (s.kind == Kind::conv_transpose) mirror_convolution(s, training);
        if (s.kind == Kind::norm_group) {
            Int vectors = 4 * s.groups;
            for (int p : s.params) vectors += p < 0 ? 0 : plan.params[p].size;
            plan.scratch_size = std::max(plan.scratch_size, vectors * kernels->lanes);
        }
        bool own = s.kind == Kind::norm_frozen && training && learns(plan, s);  // γ and β learn, the statistics do not
        if (s.kind == Kind::norm_stats || own) {
            s.stats = plan.stats_size;
            plan.stats_size += blocks * plan.tensors[s.ins[0]].c * 4;
        }
        if (s.kind == Kind::norm_batch) s.stats = plan.steps[&s - plan.steps.data() - 1].stats;
    }
    if (training) {
        graded_ = plan_gradients(plan);
        plan_derivatives();
        plan_zeros();
        plan_shares();
    }
    plan_phases(inference_, false);
    evaluation_ = inference_;
    inference_.back().push_back({Pass::store, 0});
    for (std::size_t k = 0; k < plan.losses.size(); k++) evaluation_.back().push_back({Pass::loss, int(k)});
    evaluation_.back().push_back({Pass::store, 0});
    if (training) plan_phases(training_, true);
    Int lanes = kernels->lanes;
    stats_.assign(plan.stats_size, 0.0);
    packs_alone_ = plan.packed_size <= PACKED_ALONE;
    memory_.resize(threads);
    for (Memory& m : memory_) {
        m.act = allocate(plan.act_size * lanes, bytes_);
        if (training) {
            m.grad = allocate(plan.grad_size * lanes, bytes_);
            m.wgrad = allocate(plan.weight_size, bytes_);
        }
        m.scratch = allocate(plan.scratch_size, bytes_);
        if (packs_alone_ || &m == &memory_[0]) m.packed = allocate(plan.packed_size, bytes_);
    }
    if (training_.size() > 1) {
        arenas_.resize(blocks);
        for (Memory& m : arenas_) {
            m.act = allocate(plan.act_size * lanes, bytes_);
            m.grad = allocate(plan.grad_size * lanes, bytes_);
        }
    }
}

void Network::run(Job& job) {
    job_ = &job;
    if (profiling) profiled += job.data.samples;
    team_.run([this](int thread) { work(thread); });
    add_up(memory_, plan.losses.size(), tallies, penalty);
}

void Network::run_block(int thread, int index, int blocks, Int first, Int samples, const std::vector<Op>& ops,
                        const std::uint64_t* keys) {
    Memory& own = memory_[thread];
    bool training = job_->mode == Job::train, shared = training && training_.size() > 1;
    Memory& arena = shared ? arenas_[index] : own;
    int lanes = kernels->lanes;
    Block b;
    b.act = arena.act.get();
    b.grad = arena.grad.get();
    b.wgrad = own.wgrad.get();
    b.scratch = own.scratch.get();
    b.stats = stats_.data();
    b.packed = packed(thread);
    b.data = &job_->data;
    b.tally = own.tallies.data();
    b.penalty = &own.penalty;
    b.index = index;
    b.foremost = index == thread;
    b.blocks = blocks;
    b.batch = int(samples);
    b.first = Int(index) * lanes;
    b.place = first + b.first;
    b.live = int(std::min<Int>(lanes, samples - b.first));
    b.training = training;
    b.sharing = at_hand(blocks);
    b.keys = keys;
    for (int i = 0; i < lanes; i++) {
        Int place = b.place + std::min(i, b.live - 1);
        b.rows[i] = job_->data.order ? job_->data.order[place] : place;
    }
    for (const Op& op : ops) timed(thread, op, [&] {
        switch (op.pass) {
            case Pass::load: return kernels->load(plan, b);
            case Pass::forward: return kernels->forward(plan, plan.steps[op.index], b);
            case Pass::loss: return kernels->loss(plan, op.index, b);
            case Pass::backward: return kernels->backward(plan, plan.steps[op.index], b);
            case Pass::sums: return kernels->sums(plan, plan.steps[op.index], b);
            default: return job_->data.outputs.empty() ? void() : kernels->store(plan, b);
        }
    });
}

template <class F>
void Network::timed(int thread, Op op, F f) {
    if (!profiling) return f();
    auto start = std::chrono::steady_clock::now();
    f();
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    memory_[thread].seconds[{op.pass, op.index}] += taken.count();
}

double Network::operations(Pass pass, int index) const {
    if (index < 0 || plan.steps[index].kind != Kind::conv || (pass != Pass::forward && pass != Pass::backward)) return 0;
    const Step& s = plan.steps[index];
    bool learns = plan.params[s.params[0]].grad >= 0, wanted = !s.wanted.empty() && s.wanted[0];
    return 2.0 * plan.tensors[s.out].size() * s.taps.size() * (pass == Pass::forward ? 1 : learns + wanted);
}

std::vector<Timing> Network::timings() const {
    static const char* names[] = {"load", "forward", "loss", "backward", "sums", "store", "pack", "wait", "update"};
    std::map<std::pair<Pass, int>, double> sums;
    for (const Memory& m : memory_)
        for (auto& [op, seconds] : m.seconds) sums[op] += seconds;
    std::vector<Timing> result;
    for (auto& [op, seconds] : sums) result.push_back({names[int(op.first)], op.second, seconds, profiled * operations(op.first, op.second)});
    return result;
}

void Network::update(int thread, int blocks, double rate, Int t, Int samples) {
    Memory& own = memory_[thread];
    std::vector<const float*> gradients;
    for (int k = 0; k < std::min(threads, blocks); k++) gradients.push_back(memory_[k].wgrad.get());
    bool sharing = at_hand(blocks);
    if (sharing) share_kernels(thread, blocks);
    own.penalty += updates_.apply(thread, gradients, sharing, own.wgrad.get(), rate, t, barrier_) * samples;
}

// The rows of kernels in which this thread's share of the numbers lies, of all blocks.
void Network::share_kernels(int thread, int blocks) {
    updates_.each_share(thread, [&](std::size_t i, Int from, Int to) {
        const Param& p = plan.params[i];
        if (!p.shared) return;
        for (const Step& s : plan.steps) {
            if (!s.shared || s.params[0] != int(i)) continue;
            Int row = p.size / plan.tensors[s.out].c;
            for (int k = 0; k < blocks; k++) {
                const Memory& arena = arenas_.empty() ? memory_[k] : arenas_[k];
                Block b{};
                b.act = arena.act.get(), b.grad = arena.grad.get();
                kernels->dense_weights(plan, s, b, memory_[thread].wgrad.get() + p.grad, from / row, tiles_of(to, row), k == 0);
            }
        }
    });
}

std::vector<float> Network::gradient(int param) const {
    std::vector<float> result(plan.params[param].size);
    for (int k = 0; k < threads; k++)
        updates_.each_share(k, [&](std::size_t i, Int from, Int to) {
            const float* g = memory_[k].wgrad.get() + plan.params[i].grad;
            if (int(i) == param) std::copy(g + from, g + to, result.begin() + from);
        });
    return result;
}

void Network::pack(int thread, bool training) {
    int part = packs_alone_ ? 0 : thread, parts = packs_alone_ ? 1 : threads;
    for (const Step& s : plan.steps) {
        if (s.kind == Kind::conv) kernels->pack(plan, s, packed(thread), part, parts, training && s.wanted[0]);
        if (s.kind == Kind::conv_transpose) kernels->pack(plan, s.mirror[0], packed(thread), part, parts, true);
    }
}

void Network::work(int thread) {
    const Job& job = *job_;
    Memory& own = memory_[thread];
    own.tallies.assign(plan.losses.size(), {});
    own.penalty = 0;
    bool training = job.mode == Job::train;
    const Phases& phases = training ? training_ : job.mode == Job::evaluate ? evaluation_ : inference_;
    std::vector<std::uint64_t> keys;
    Int steps = tiles_of(job.data.samples, job.batch);
    auto meet = [&] { timed(thread, {Pass::wait, -1}, [&] { barrier_.wait(); }); };
    for (Int step = 0; step < steps; step++) {
        Int first = step * job.batch, samples = std::min(job.batch, job.data.samples - first);
        int blocks = int(tiles_of(samples, kernels->lanes));
        if (training || step == 0) timed(thread, {Pass::pack, -1}, [&] { pack(thread, training); });
        if (training) {
            for (auto [start, size] : zeros_) std::memset(own.wgrad.get() + start, 0, sizeof(float) * size);
            keys = keys_of(job, step);
        }
        if (!packs_alone_) meet();
        for (std::size_t k = 0; k < phases.size(); k++) {
            if (k) meet();
            for (int index = thread; index < blocks; index += threads)
                run_block(thread, index, blocks, first, samples, phases[k], keys.data());
        }
        if (!training) continue;
        meet();
        if (may_learn(job, memory_)) timed(thread, {Pass::update, -1}, [&] {
            update(thread, blocks, job.rates[step], job.t + step, samples);
        });
        meet();
    }
}

}  // namespace convia
