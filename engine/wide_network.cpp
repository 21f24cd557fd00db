#include "wide_network.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace convia {

namespace {

constexpr Int GROUP_BYTES = 64 << 20;  // of the tensors of samples that are worked on together
constexpr int MOST_TOGETHER = 8;
constexpr Int SAMPLED = 16;  // numbers of a weight that are looked at for changes

}  // namespace

// Let a convolution do what the only step that reads its result does; whether it can.
bool WideNetwork::join_next(Step& s, std::size_t place) {
    int at = only_reader(s.out);
    if (at <= int(place) || s.act != Act::linear) return false;
    const Step& next = plan.steps[at];
    if (next.kind == Kind::norm_frozen && s.wide.norm.empty() && s.wide.residual < 0) {
        s.wide.norm = next.params;
        s.wide.epsilon = next.epsilon;
    } else if (next.kind == Kind::unary) {
        s.act = next.act;
        s.alpha = next.alpha;
    } else if (next.kind == Kind::join && next.join == Join::add && next.ins.size() == 2 && s.wide.residual < 0 && !s.wide.depthwise) {
        int other = next.ins[next.ins[0] == s.out];
        const Tensor &a = plan.tensors[other], &b = plan.tensors[s.out];
        bool early = std::none_of(plan.steps.begin() + place, plan.steps.end(), [&](const Step& step) { return step.out == other; });
        if (!early || a.c != b.c || a.d != b.d || a.h != b.h || a.w != b.w) return false;
        s.wide.residual = other;
    } else {
        return false;
    }
    s.out = next.out;
    plan.steps.erase(plan.steps.begin() + at);
    return true;
}

void WideNetwork::join_steps() {
    std::erase_if(plan.steps, [](const Step& s) { return s.kind == Kind::norm_stats; });
    for (Step& s : plan.steps)
        if (s.kind == Kind::norm_batch) s.kind = Kind::norm_frozen;
    find_groups();
    for (std::size_t i = 0; i < plan.steps.size(); i++)
        while (plan.steps[i].kind == Kind::conv && join_next(plan.steps[i], i)) {}
}

void WideNetwork::lay_out() {
    std::vector<Life> lives;
    std::vector<Int> last(plan.tensors.size(), -1), first(plan.tensors.size(), -2);
    for (int in : plan.inputs) first[in] = -1;
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        const Step& s = plan.steps[i];
        if (first[s.out] == -2) first[s.out] = Int(i);
        last[s.out] = std::max<Int>(last[s.out], i);
        for (int in : s.ins) last[in] = std::max<Int>(last[in], i);
        if (s.wide.residual >= 0) last[s.wide.residual] = std::max<Int>(last[s.wide.residual], i);
    }
    for (const Output& output : plan.outputs) last[output.tensor] = Int(plan.steps.size());
    for (std::size_t t = 0; t < plan.tensors.size(); t++)
        if (first[t] != -2) lives.push_back({int(t), first[t], last[t]});
    set_strides();
    plan.act_size = share_memory(lives, &Tensor::at);
}

void WideNetwork::finish() {
    join_steps();
    choose_bytes();
    find_gaps();
    for (const Step& s : plan.steps)
        if (s.kind == Kind::conv_transpose) widen_for_back(s);
    lay_out();
    for (Step& s : plan.steps) {
        if (s.kind == Kind::conv) cut_convolution(s);
        if (s.kind == Kind::conv_transpose) cut_back(s);
        if (s.kind == Kind::copy) find_runs(s);
        if (s.kind == Kind::norm_frozen || s.kind == Kind::norm_group) place_factors(s);
    }
    auto larger_kernel = [&](const Step& s) {
        const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
        return s.convolves() && plan.params[s.params[0]].size > (x.size() + y.size()) * kernels->lanes;
    };
    early_ = std::find_if(plan.steps.begin(), plan.steps.end(), larger_kernel) - plan.steps.begin();
    packed_ = allocate(plan.packed_size, bytes_);
    memory_.resize(threads);
    for (Memory& m : memory_) m.scratch = allocate(winograd_size_, bytes_);
    shares_.resize(threads);
    for (int k = 0; k < threads; k++) {
        shares_[k].tensors = plan.tensors;
        shares_[k].params = plan.params;
        shares_[k].quanta = plan.quanta;
        for (Tensor& t : shares_[k].tensors) {
            Int from = cut(t.c, threads, k), to = cut(t.c, threads, k + 1);
            t.at += from * t.cs;
            t.c = to - from;
        }
    }
}

// Samples of one thread, or of all together.
void WideNetwork::predict(int thread, const Data& data, Int first, Int samples, bool together) {
    Memory& own = memory_[together ? 0 : thread];
    Block b{};
    b.packed = packed_.get();
    b.scratch = memory_[thread].scratch.get();
    b.data = &data;
    b.act = own.act.get();
    b.apart = plan.act_size * kernels->lanes;
    b.group = int(samples);
    b.live = 1;
    b.part = together ? thread : 0;
    b.parts = together ? threads : 1;
    b.share = together ? &shares_[thread] : &plan;
    auto each = [&](bool whole, auto f) {  // the samples in turn, of which this thread has its share, or a part of each
        for (int g = whole ? b.part : 0; g < samples; g += whole ? b.parts : 1) {
            Block one = b;
            one.act = b.act + g * b.apart;
            one.place = first + g;
            one.rows[0] = data.order ? data.order[first + g] : first + g;
            f(one);
        }
    };
    for (int in : plan.inputs) clear_halo(b, in, false);
    for (int i = 0; i < int(plan.inputs.size()); i++) {
        bool bytes = is_bytes(plan.inputs[i]);
        each(!bytes, [&](Block& one) { (bytes ? byte_kernels->load : kernels->wide->load)(plan, i, one); });
    }
    if (together) barrier_.wait();
    for (int g = 0; g < samples; g++) {
        Block one = b;
        one.act = b.act + g * b.apart;
        one.group = 1;
        take_steps(thread, one, 0, early_, together);
    }
    take_steps(thread, b, early_, plan.steps.size(), together);
    each(true, [&](Block& one) { kernels->wide->store(plan, one); });
    if (together) barrier_.wait();
}

void WideNetwork::take_steps(int thread, Block& b, std::size_t from, std::size_t to, bool together) {
    for (std::size_t i = from; i < to; i++) {
        auto start = std::chrono::steady_clock::now();
        clear_halo(b, plan.steps[i].out, false);
        const Step& s = plan.steps[i];
        (s.wide.in_bytes ? byte_kernels->forward : kernels->wide->forward)(plan, s, b);
        if (together) barrier_.wait();
        if (profiling) memory_[thread].seconds[int(i)] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
}

// The version and some numbers of each weight, for those who change weights behind the version's back.
std::uint64_t WideNetwork::fingerprint(std::uint64_t version) const {
    std::uint64_t hash = version;
    for (const Param& p : plan.params)
        for (Int i = 0; i < std::min(p.size, SAMPLED); i++) {
            std::uint32_t bits;
            std::memcpy(&bits, p.data + i * (p.size - 1) / std::max<Int>(std::min(p.size, SAMPLED) - 1, 1), sizeof bits);
            hash = (hash ^ bits) * 0x100000001b3u;  // Fowler, Noll & Vo
        }
    return hash | 1;
}

void WideNetwork::run(const Data& data, std::uint64_t version) {
    std::uint64_t before = packed_version_;
    packed_version_ = fingerprint(version);
    bool pack = packed_version_ != before;
    Int size = plan.act_size * kernels->lanes, most = std::clamp<Int>(GROUP_BYTES / (size * sizeof(float)), 1, MOST_TOGETHER);
    Int apart = data.samples / threads, left = data.samples % threads;  // samples of each thread alone, and of all together
    for (int k = 0; k < threads; k++) {
        Int wanted = std::min(apart, most);
        if (k == 0) wanted = std::max(wanted, std::min(left, most));
        if (memory_[k].size >= wanted) continue;
        if (memory_[k].size) bytes_ -= (memory_[k].size * size + kernels->lanes) * sizeof(float);
        memory_[k].act = allocate(wanted * size + kernels->lanes, bytes_);  // bytes are read four pixels at a time
        memory_[k].size = wanted;
    }
    if (profiling) predicted_ += double(data.samples);
    team_.run([&](int thread) {
        if (pack) {
            for (const Step& s : plan.steps) {
                if (s.wide.in_bytes) byte_kernels->pack(plan, s, packed_.get(), thread, threads);
                else kernels->wide->pack(plan, s, packed_.get(), thread, threads, true, false);
            }
            barrier_.wait();
        }
        for (Int i = 0; i < apart; i += most) predict(thread, data, thread * apart + i, std::min(most, apart - i), false);
        if (left) barrier_.wait();  // the first thread's memory is now that of all
        for (Int i = 0; i < left; i += most) predict(thread, data, threads * apart + i, std::min(most, left - i), true);
    });
}

std::vector<Timing> WideNetwork::timings() const {
    std::vector<Timing> result;
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        const Step& s = plan.steps[i];
        double seconds = 0, operations = 0;
        for (const Memory& m : memory_)
            if (auto found = m.seconds.find(int(i)); found != m.seconds.end()) seconds += found->second;
        if (s.convolves()) {
            const Tensor& y = plan.tensors[s.small()];
            operations = 2.0 * plan.params[s.params[0]].size * y.d * y.h * y.w * predicted_;
        }
        result.push_back({"forward", s.number, seconds, operations});
    }
    return result;
}

}  // namespace convia
