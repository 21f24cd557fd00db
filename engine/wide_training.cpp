#include "wide_training.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace convia {

namespace {

constexpr Int FEWEST_TILES = 300;  // of 2 × 2 gradients in a batch, for which kernels are turned back from frequencies
constexpr double TRANSFORMED = 1.25;  // times as long as their products alone take gradients by frequencies
constexpr Int RESIDENT = 1 << 19;  // bytes of a kernel's gradient that stay in a second-level cache beside samples

}  // namespace

// Convolutions of 1 × 1 with strides read few pixels: these are laid side by side once, for all who read them.
void WideTraining::gather_pixels() {
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        auto one = [](const Int* sizes) { return sizes[0] * sizes[1] * sizes[2] == 1; };
        Step conv = plan.steps[i], pick{};
        if (conv.kind != Kind::conv || conv.groups > 1 || !one(conv.k) || one(conv.s) || conv.pad[0] + conv.pad[1] + conv.pad[2]) continue;
        auto same = std::find_if(plan.steps.begin(), plan.steps.begin() + i, [&](const Step& s) {
            return s.kind == Kind::pool_average && one(s.k) && s.ins == conv.ins && std::equal(s.s, s.s + 3, conv.s);
        });
        if (same != plan.steps.begin() + i) {
            pick.out = same->out;
        } else {
            const Tensor y = plan.tensors[conv.out];
            const Int none[3] = {};
            pick.kind = Kind::pool_average, pick.number = conv.number, pick.again = conv.again, pick.ins = conv.ins;
            pick.out = add_tensor(plan.channels[conv.ins[0]], y.d, y.h, y.w, none, none);
            std::copy(conv.s, conv.s + 3, pick.s);
            plan.steps.insert(plan.steps.begin() + i++, pick);
        }
        plan.steps[i].ins = {pick.out};
        std::fill(plan.steps[i].s, plan.steps[i].s + 3, 1);
    }
}

// A normalization applies the activation that follows; its derivative is taken where the sums of the gradient are. A join does
// so where the derivative follows from the result.
void WideTraining::join_activations() {
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        Step& s = plan.steps[i];
        bool join = s.kind == Kind::join;
        if (s.kind != Kind::norm_batch && s.kind != Kind::norm_frozen && !join) continue;
        int at = only_reader(s.out);
        if (at < 0 || plan.steps[at].kind != Kind::unary || plan.steps[at].skip_backward || (join && plan.steps[at].act >= Act::silu)) continue;
        s.act = plan.steps[at].act;
        s.alpha = plan.steps[at].alpha;
        s.out = plan.steps[at].out;
        s.again = plan.steps[at].again;
        plan.steps.erase(plan.steps.begin() + at);
    }
}

// A normalization adds what is added to its result only, and applies the activation that follows.
void WideTraining::join_sums() {
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        Step& s = plan.steps[i];
        int at = (s.kind == Kind::norm_batch || s.kind == Kind::norm_frozen) && s.act == Act::linear ? only_reader(s.out) : -1;
        if (at < 0 || plan.steps[at].kind != Kind::join || plan.steps[at].join != Join::add || plan.steps[at].ins.size() != 2) continue;
        const Step& sum = plan.steps[at];
        int other = sum.ins[sum.ins[0] == s.out];
        const Tensor &x = plan.tensors[s.ins[0]], &added = plan.tensors[other];
        bool late = std::any_of(plan.steps.begin() + i, plan.steps.end(), [&](const Step& step) { return step.out == other; });
        if (late || added.c != x.c || added.d != x.d || added.h != x.h || added.w != x.w) continue;
        s.ins.push_back(other);
        s.out = sum.out, s.act = sum.act, s.alpha = sum.alpha, s.again = sum.again;
        plan.steps.erase(plan.steps.begin() + at);
    }
}

// The first to write all of its weights' gradients stores them.
void WideTraining::plan_zeros() {
    std::vector<std::uint8_t> written(plan.params.size());
    for (std::size_t i = plan.steps.size(); i-- > 0;) {
        Step& s = plan.steps[i];
        if (!graded_[i]) continue;
        s.stores = std::none_of(s.params.begin(), s.params.end(), [&](int p) { return p >= 0 && written[p]; });
        for (int p : s.params)
            if (p >= 0 && !written[p]) written[p] = s.stores ? 1 : 2;
    }
    zeros_ = unwritten(plan, written);
}

bool WideTraining::has_large_kernel(const Step& s) const {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    return s.convolves() && plan.params[s.params[0]].size > (x.size() + y.size()) * kernels->lanes;
}

void WideTraining::plan_phases(std::vector<Phase>& phases, bool training) {
    phases.assign(1, {false, {}, {{Pass::load, 0}}});
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        const Step& s = plan.steps[i];
        int index = int(i);
        if (s.kind == Kind::norm_stats) {
            if (!training) continue;
            phases.back().each.push_back({Pass::stats, index});
            phases.push_back({true, {}, {}});
            continue;
        }
        if (s.kind == Kind::norm_batch || s.kind == Kind::norm_frozen) phases.back().once.push_back({Pass::moments, index});
        phases.back().each.push_back({Pass::forward, index});
    }
    phases.push_back({false, {}, {}});
    for (std::size_t k = 0; k < plan.losses.size(); k++) phases.back().once.push_back({Pass::loss, int(k)});
    phases.back().each.push_back({Pass::store, 0});
    if (training) plan_way_back(phases);
    for (Phase& phase : phases)
        phase.together = std::any_of(phase.each.begin(), phase.each.end(), [&](const Op& op) {
            return (op.pass == Pass::forward || op.pass == Pass::backward) && has_large_kernel(plan.steps[op.index]);
        });
}

// Weights wait for the next meeting: their gradients need those of all samples.
void WideTraining::plan_way_back(std::vector<Phase>& phases) {
    std::vector<Op> waiting;
    std::vector<std::uint8_t> made(plan.tensors.size());
    auto meet = [&] {
        phases.push_back({true, waiting, {}});
        waiting.clear();
    };
    for (std::size_t i = plan.steps.size(); i-- > 0;) {
        const Step& s = plan.steps[i];
        int index = int(i);
        if (!graded_[i]) continue;
        for (int tensor : read_back(s)) make_again(tensor, phases.back().each, made);
        bool norm = s.kind == Kind::norm_batch || s.kind == Kind::norm_frozen;
        if (norm && (s.kind == Kind::norm_batch || s.act != Act::linear || learns(plan, s))) {
            phases.back().each.push_back({Pass::sums, index});
            if (s.kind == Kind::norm_batch) meet();
            if (s.kind == Kind::norm_batch) phases.back().once.push_back({Pass::join, index});
            else if (learns(plan, s)) waiting.push_back({Pass::join, index});
        }
        phases.back().each.push_back({Pass::backward, index});
        if ((s.convolves() || s.kind == Kind::norm_group) && learns(plan, s)) waiting.push_back({Pass::weights, index});
    }
    if (!waiting.empty()) meet();
}

// A sum's gradient is that of its inputs: one that nobody else reads has it in the same place, as has what a normalization adds,
// to which others add theirs when the sum's is no longer needed. Returns where each tensor's lies.
std::vector<int> WideTraining::inherit_gradients() {
    std::vector<int> place(plan.tensors.size());
    for (std::size_t i = 0; i < place.size(); i++) place[i] = int(i);
    for (std::size_t i = plan.steps.size(); i-- > 0;) {
        Step& s = plan.steps[i];
        bool sum = s.kind == Kind::join && s.join == Join::add, norm = s.kind == Kind::norm_batch || s.kind == Kind::norm_frozen;
        if (!(sum || norm) || !graded_[i]) continue;
        const Tensor& y = plan.tensors[s.out];
        for (std::size_t k = norm; k < s.ins.size() && s.wide.heir < 0; k++) {
            const Tensor& x = plan.tensors[s.ins[k]];
            bool alike = x.size() == y.size() && x.w == y.w && x.hs == y.hs && x.ds == y.ds && x.cs == y.cs && origin(s.ins[k]) == origin(s.out);
            if (!alike || !s.wanted[k] || !s.fresh[k] || (sum && only_reader(s.ins[k]) != int(i))) continue;
            s.wide.heir = int(k);
            place[s.ins[k]] = place[s.out];
        }
    }
    return place;
}

void WideTraining::plan_losses() {
    Int size = 0;
    auto add = [&](int tensor) {
        const Tensor& t = plan.tensors[tensor];
        Int pixels = t.d * t.h * t.w, channels = plan.channels[tensor];
        narrow_.tensors.push_back({channels, t.d, t.h, t.w, size, pixels, t.h * t.w, t.w, size, pixels, t.h * t.w, t.w});
        size += channels * pixels;
        return int(narrow_.tensors.size()) - 1;
    };
    narrow_.losses = plan.losses;
    for (Loss& loss : narrow_.losses) {
        bool same = loss.output == loss.target;
        int output = loss.output, target = loss.target;
        loss.output = add(output);
        loss.target = same ? loss.output : add(target);
    }
    narrow_.act_size = size;
}

void WideTraining::finish(Int largest_batch, bool training) {
    capacity_ = largest_batch;
    gather_pixels();
    join_activations();
    join_sums();
    find_groups();
    find_gaps();
    graded_ = plan_gradients(plan);
    plan_zeros();
    for (const Step& s : plan.steps) {
        if (s.kind == Kind::conv_transpose || goes_back(s)) widen_for_back(s);
        if (s.kind == Kind::conv_transpose && goes_back(s)) widen_for_windows(s);
    }
    second_.assign(plan.tensors.size(), -1);
    if (training) choose_again();
    plan_phases(evaluation_, false);
    if (training) plan_phases(training_, true);
    lay_out();
    plan_losses();
    memory_.resize(threads);
    for (Step& s : plan.steps) {
        bool conv = s.kind == Kind::conv, back = training && goes_back(s);
        if (s.convolves() && (conv || back)) cut_convolution(s);
        if (s.convolves() && (!conv || back)) cut_back(s);
        if (s.kind == Kind::copy) find_runs(s);
        if (s.kind == Kind::norm_group) place_factors(s);
    }
    place_statistics();
    reserve(training);
    plan_second_places();
}

// Whether the gradient of a convolution's input is wanted, or a transposed one has any.
bool WideTraining::goes_back(const Step& s) const {
    bool graded = s.convolves() && graded_[&s - plan.steps.data()];
    return graded && (s.wanted[0] || s.kind == Kind::conv_transpose);
}

void WideTraining::place_statistics() {
    Int moments = 0, lanes = kernels->lanes;
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        Step& s = plan.steps[i];
        bool batch = s.kind == Kind::norm_batch, frozen = s.kind == Kind::norm_frozen;
        Int vectors = plan.tensors[s.ins[0]].c * lanes;
        if (s.kind == Kind::norm_stats || frozen) {
            s.stats = plan.stats_size;
            plan.stats_size += capacity_ * vectors * kernels->wide->records;
        }
        if (batch) s.stats = plan.steps[i - 1].stats;
        if (!batch && !frozen) continue;
        s.wide.moments = moments;
        moments += vectors * kernels->wide->moments_of;
    }
    stats_.assign(plan.stats_size, 0.0);
    for (Memory& m : memory_) m.moments.resize(moments);
}

// Whether 16 products per tile of 2 × 2 gradients, with what is done to them before and after, are less than 9 per gradient.
bool WideTraining::gains_by_frequencies(const Step& s) const {
    const Tensor& y = plan.tensors[s.out];
    bool fits = s.kind == Kind::conv && !s.wide.depthwise && s.groups == 1 && s.k[0] == 1 && s.k[1] == 3 && s.k[2] == 3 && s.s[0] * s.s[1] * s.s[2] * s.dil[1] * s.dil[2] == 1;
    Int tiles = y.d * tiles_of(y.h, 2) * tiles_of(y.w, 2);
    return fits && capacity_ * tiles >= FEWEST_TILES && 16 * tiles * TRANSFORMED < 9 * y.d * y.h * y.w;
}

void WideTraining::reserve(bool training) {
    Int lanes = kernels->lanes, scratch = winograd_size_;
    for (Step& s : plan.steps) {
        if (!s.convolves() || !training) continue;
        const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
        Int blocks = kernels->wide->weight_blocks, unit = s.k[0] * s.k[1] * s.k[2] * lanes * lanes * std::min(blocks, y.c);
        Int share = tiles_of(tiles_of(y.c, blocks) * x.c, threads) * unit;
        s.wide.winograd_weights = gains_by_frequencies(s);
        s.wide.resident = share * Int(sizeof(float)) <= RESIDENT;
        scratch = std::max(scratch, s.wide.winograd_weights ? kernels->wide->winograd_weights_size(x, y, threads) : s.wide.resident ? share : unit);
    }
    for (const Step& s : plan.steps)
        if (s.kind == Kind::norm_group) scratch = std::max(scratch, 4 * plan.tensors[s.out].c * lanes);  // two numbers in double precision
    act_ = allocate(capacity_ * plan.act_size * lanes, bytes_);
    packed_ = allocate(plan.packed_size, bytes_);
    if (training) wgrad_ = allocate(plan.weight_size, bytes_);
    for (Memory& m : memory_) {
        if (training) m.scratch = allocate(scratch, bytes_);
        m.act = allocate(narrow_.act_size * lanes, bytes_);
        m.grad = allocate(narrow_.act_size * lanes, bytes_);
    }
}

void WideTraining::run(Job& job) {
    job_ = &job;
    if (profiling) (job.mode == Job::train ? trained_ : measured_) += job.data.samples;
    team_.run([this](int thread) { work(thread); });
    add_up(memory_, plan.losses.size(), tallies, penalty);
}

void WideTraining::work(int thread) {
    const Job& job = *job_;
    Memory& own = memory_[thread];
    own.tallies.assign(plan.losses.size(), {});
    own.penalty = 0;
    bool training = job.mode == Job::train;
    Int batch = std::min(job.batch, capacity_), steps = tiles_of(job.data.samples, batch);
    auto meet = [&] { timed(thread, {Pass::wait, -1}, [&] { barrier_.wait(); }); };
    for (Int step = 0; step < steps; step++) {
        Int first = step * batch, samples = std::min(batch, job.data.samples - first);
        std::vector<std::uint64_t> keys = training ? keys_of(job, step) : std::vector<std::uint64_t>();
        timed(thread, {Pass::pack, -1}, [&] { begin(thread, training, step == 0); });
        meet();
        Block whole = block(thread, first, samples, keys.data()), mine = whole;
        Int from = cut(samples, threads, thread), to = cut(samples, threads, thread + 1);
        mine.act += from * mine.apart, mine.grad += from * mine.grad_apart;
        mine.group = int(to - from), mine.index = int(from), mine.first = from, mine.place = first + from;
        mine.part = 0, mine.parts = 1;
        for (const Phase& phase : training ? training_ : evaluation_) {
            if (phase.meets) meet();
            take(thread, phase, whole, mine);
        }
        meet();
        if (training && may_learn(job, memory_)) timed(thread, {Pass::update, -1}, [&] {
            own.penalty += updates_.apply(thread, {wgrad_.get()}, false, wgrad_.get(), job.rates[step], job.t + step, barrier_) * samples;
        });
        if (training) meet();
    }
}

// A thread's share of the kernels, of which only those change that learn, and of the gradients that are added to.
void WideTraining::begin(int thread, bool training, bool first) {
    for (const Step& s : plan.steps)
        if ((s.convolves() || s.kind == Kind::norm_group) && (first || (training && learns(plan, s))))
            kernels->wide->pack(plan, s, packed_.get(), thread, threads, true, training);
    for (std::size_t i = thread; training && i < zeros_.size(); i += threads)
        std::memset(wgrad_.get() + zeros_[i].first, 0, sizeof(float) * zeros_[i].second);
}

// All samples of a step, of which a thread has a share of the channels.
Block WideTraining::block(int thread, Int first, Int samples, const std::uint64_t* keys) {
    Memory& own = memory_[thread];
    Block b{};
    b.act = b.grad = act_.get(), b.wgrad = wgrad_.get(), b.scratch = own.scratch.get();
    b.stats = stats_.data(), b.moments = own.moments.data(), b.packed = packed_.get();
    b.data = &job_->data, b.tally = own.tallies.data(), b.penalty = &own.penalty, b.keys = keys;
    b.apart = b.grad_apart = plan.act_size * kernels->lanes;
    b.batch = b.group = int(samples), b.live = 1, b.training = job_->mode == Job::train, b.share = &plan;
    b.part = thread, b.parts = threads, b.place = first;
    return b;
}

void WideTraining::take(int thread, const Phase& phase, Block whole, Block own) {
    for (const Op& op : phase.once) timed(thread, op, [&] {
        if (op.pass == Pass::loss) lose(thread, op.index, own);
        else run_op(op, whole);
    });
    int groups = phase.together ? 1 : own.group;
    for (int g = 0; g < groups; g++) {
        Block b = own;
        if (!phase.together) {
            b.act += g * b.apart, b.grad += g * b.grad_apart;
            b.index += g, b.first += g, b.place += g, b.group = 1;
        }
        if (b.group == 0) return;
        for (const Op& op : phase.each) timed(thread, op, [&] { run_op(op, b); });
    }
}

void WideTraining::run_op(Op op, Block& b) {
    const WideKernels& wide = *kernels->wide;
    const Plan& plan = op.pass >= Pass::sums && !back_.steps.empty() ? back_ : this->plan;  // from sums on: the way back
    b.share = &plan;
    auto each = [&](auto f) {
        for (int g = 0; g < b.group; g++) {
            Block one = b;
            one.act += g * b.apart, one.grad += g * b.grad_apart;
            one.index += g, one.first += g, one.place += g, one.group = 1;
            one.rows[0] = b.data->order ? b.data->order[one.place] : one.place;
            f(one);
        }
    };
    const Step* s = plan.steps.data() + op.index;
    switch (op.pass) {
        case Pass::load:
            for (int in : plan.inputs) clear_halo(b, in, false);
            return each([&](Block& one) {
                for (int i = 0; i < int(plan.inputs.size()); i++) wide.load(plan, i, one);
            });
        case Pass::store: return b.data->outputs.empty() ? void() : each([&](Block& one) { wide.store(plan, one); });
        case Pass::forward: clear_halo(b, s->out, false); return wide.forward(plan, *s, b);
        case Pass::stats: return each([&](Block& one) { wide.stats(plan, *s, one); });
        case Pass::moments: return wide.moments(plan, *s, b);
        case Pass::sums: return each([&](Block& one) { wide.sums(plan, *s, one); });
        case Pass::join: return wide.join_sums(plan, *s, b);
        case Pass::weights: return wide.weights(plan, *s, b);
        case Pass::again: clear_halo(b, second_[s->out], false); return wide.forward(plan, *s, b);
        default: break;
    }
    if (goes_back(this->plan.steps[op.index])) clear_halo(b, s->out, true);
    wide.backward(plan, *s, b);
}

// A loss has samples as lanes.
void WideTraining::lose(int thread, int number, const Block& own) {
    Memory& m = memory_[thread];
    const Loss &loss = plan.losses[number], &narrow = narrow_.losses[number];
    int lanes = kernels->lanes;
    for (int start = 0; start < own.group; start += lanes) {
        Block b = own;
        b.live = std::min(lanes, own.group - start);
        for (int i = 0; i < lanes; i++) {
            Int place = own.place + start + std::min(i, b.live - 1);
            b.rows[i] = own.data->order ? own.data->order[place] : place;
        }
        for (int i = 0; i < b.live; i++)
            for (auto [from, to] : {std::pair(loss.output, narrow.output), std::pair(loss.target, narrow.target)})
                kernels->wide->gather(plan.tensors[from], own.act + (start + i) * own.apart, narrow_.tensors[to], m.act.get(), i);
        b.act = m.act.get();
        b.grad = m.grad.get();
        kernels->loss(narrow_, number, b);
        for (int i = 0; own.training && i < b.live; i++)
            kernels->wide->scatter(narrow_.tensors[narrow.target], m.grad.get(), i, plan.tensors[loss.target], own.grad + (start + i) * own.grad_apart);
    }
}

template <class F>
void WideTraining::timed(int thread, Op op, F f) {
    if (!profiling) return f();
    auto start = std::chrono::steady_clock::now();
    f();
    memory_[thread].seconds[{op.pass, op.index}] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Timing> WideTraining::timings() const {
    static const char* names[] = {"load", "forward", "stats", "moments", "loss", "store", "sums", "join", "backward", "weights", "again", "pack", "wait", "update"};
    std::map<std::pair<Pass, int>, double> sums;
    for (const Memory& m : memory_)
        for (auto& [op, seconds] : m.seconds) sums[op] += seconds;
    std::vector<Timing> result;
    for (auto& [op, seconds] : sums) {
        auto [pass, index] = op;
        bool conv = index >= 0 && (pass == Pass::forward || pass == Pass::backward || pass == Pass::weights) && plan.steps[index].convolves();
        double operations = 0;
        if (conv) {
            const Tensor& y = plan.tensors[plan.steps[index].small()];
            operations = 2.0 * plan.params[plan.steps[index].params[0]].size * y.d * y.h * y.w * (pass == Pass::forward ? trained_ + measured_ : trained_);
        }
        result.push_back({names[int(pass)], index < 0 ? index : plan.steps[index].number, seconds, operations});
    }
    return result;
}

std::vector<float> WideTraining::gradient(int param) const {
    const Param& p = plan.params[param];
    return std::vector<float>(wgrad_.get() + p.grad, wgrad_.get() + p.grad + p.size);
}

}  // namespace convia
