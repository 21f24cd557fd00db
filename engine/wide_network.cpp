#include "wide_network.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace convia {

namespace {

constexpr Int GROUP_BYTES = 64 << 20;  // of the tensors of samples that are worked on together
constexpr int MOST_TOGETHER = 8;
constexpr Int SAMPLED = 16;  // numbers of a weight that are looked at for changes

Int tiles(Int n, Int most) { return (n + most - 1) / most; }

}  // namespace

int WideNetwork::add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]) {
    plan.tensors.push_back({tiles(c, kernels->lanes), d, h, w, 0, 0, 0, 0, 0, 0, 0, 0});
    plan.channels.push_back(c);
    Sides sides;
    std::copy(before, before + 3, sides.before);
    std::copy(after, after + 3, sides.after);
    sides_.push_back(sides);
    return int(plan.tensors.size()) - 1;
}

// Let a convolution do what the only step that reads its result does; whether it can.
bool WideNetwork::join_next(Step& s, std::size_t place) {
    int readers = 0;
    std::size_t at = 0;
    for (std::size_t j = 0; j < plan.steps.size(); j++)
        for (int in : plan.steps[j].ins)
            if (in == s.out) readers++, at = j;
    for (const Step& other : plan.steps) readers += other.wide.residual == s.out;
    for (const Output& output : plan.outputs) readers += output.tensor == s.out;
    if (readers != 1 || at <= place || s.act != Act::linear) return false;
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
    for (Step& s : plan.steps) {
        if (s.kind == Kind::norm_batch) s.kind = Kind::norm_frozen;
        s.wide.depthwise = s.kind == Kind::conv && s.groups > 1;
    }
    for (std::size_t i = 0; i < plan.steps.size(); i++)
        while (plan.steps[i].kind == Kind::conv && join_next(plan.steps[i], i)) {}
}

// Tensors that are needed at different times share memory: each takes the first gap that is large enough.
void WideNetwork::lay_out() {
    struct Life { int tensor; Int from, to; };
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
    std::stable_sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) { return a.from < b.from; });
    struct Taken { Int start, end, until; };
    std::vector<Taken> taken;
    for (const Life& life : lives) {
        Tensor& t = plan.tensors[life.tensor];
        const Sides& side = sides_[life.tensor];
        t.hs = t.w + side.before[2] + side.after[2];
        t.ds = t.hs * (t.h + side.before[1] + side.after[1]);
        t.cs = spread(t.ds * (t.d + side.before[0] + side.after[0]));
        Int size = t.c * t.cs, start = 0;
        std::erase_if(taken, [&](const Taken& each) { return each.until < life.from; });
        std::sort(taken.begin(), taken.end(), [](const Taken& a, const Taken& b) { return a.start < b.start; });
        for (const Taken& each : taken) {
            if (start + size <= each.start) break;
            start = std::max(start, each.end);
        }
        taken.push_back({start, start + size, life.to});
        t.at = start + side.before[0] * t.ds + side.before[1] * t.hs + side.before[2];
        plan.act_size = std::max(plan.act_size, start + size);
    }
}

void WideNetwork::cut_convolution(Step& s) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int lanes = kernels->lanes, ins = s.wide.depthwise ? 1 : plan.channels[s.ins[0]], spatial = s.k[0] * s.k[1] * s.k[2];
    for (Int i = 0; i < (s.wide.depthwise ? 1 : x.c); i++)
        for (Int z = 0; z < s.k[0]; z++)
            for (Int ky = 0; ky < s.k[1]; ky++)
                for (Int kx = 0; kx < s.k[2]; kx++)
                    s.wide.taps.push_back((i * x.cs + z * s.dil[0] * x.ds + ky * s.dil[1] * x.hs + kx * s.dil[2]) * lanes);
    auto even = [&](int tensor) { const Tensor& t = plan.tensors[tensor]; return t.hs == t.w && t.ds == t.h * t.w; };
    bool plain = spatial == 1 && s.s[0] * s.s[1] * s.s[2] == 1;
    s.wide.flat = plain && even(s.ins[0]) && even(s.out) && (s.wide.residual < 0 || even(s.wide.residual));
    Int width = s.wide.flat ? y.d * y.h * y.w : y.w, most = s.s[2] > 2 ? 1 : kernels->most_columns;
    Int columns = tiles(width, tiles(width, most));
    Int blocks = std::clamp<Int>((kernels->registers - 1) / (columns + 1), 1, kernels->most_blocks);
    if (blocks == 1 && columns > 2) {  // registers are few: square tiles load least
        blocks = y.c > 1 ? 2 : 1;
        columns = std::min(columns, (kernels->registers - 1) / blocks - 1);
    }
    s.wide.columns = columns;
    s.wide.tiles = s.wide.depthwise ? y.c : tiles(y.c, blocks);
    s.wide.packed = plan.packed_size;
    s.wide.shift = plan.packed_size + y.c * lanes * ins * spatial;
    plan.packed_size = s.wide.shift + y.c * lanes;
}

// What a copy moves, as runs of floats that follow one another on both sides.
void WideNetwork::find_runs(Step& s) {
    Int lanes = kernels->lanes;
    auto offset = [&](int tensor, Int e) {
        const Tensor& t = plan.tensors[tensor];
        Int x = e % t.w, y = e / t.w % t.h, z = e / (t.w * t.h) % t.d, c = e / (t.w * t.h * t.d);
        return std::int32_t((t.at + c / lanes * t.cs + z * t.ds + y * t.hs + x) * lanes + c % lanes);
    };
    std::vector<std::pair<std::int32_t, std::int32_t>> moves;  // to, from
    for (std::size_t i = 0; i < s.from.size(); i++) moves.emplace_back(offset(s.out, s.to[i]), offset(s.ins[0], s.from[i]));
    std::sort(moves.begin(), moves.end());
    for (auto [to, from] : moves) {
        auto& runs = s.wide.runs;
        if (!runs.empty() && runs.back().to + runs.back().count == to && runs.back().from + runs.back().count == from) runs.back().count++;
        else runs.push_back({from, to, 1});
    }
}

// Several copies may fill a tensor; where they leave elements out, the first one clears it.
void WideNetwork::find_gaps() {
    std::map<int, std::pair<Step*, Int>> filled;  // the first copy to a tensor, and how many elements all copy
    for (Step& s : plan.steps) {
        if (s.kind != Kind::copy) continue;
        auto& [first, count] = filled.try_emplace(s.out, &s, 0).first->second;
        count += Int(s.to.size());
    }
    for (auto& [tensor, found] : filled) {
        const Tensor& t = plan.tensors[tensor];
        found.first->wide.clears = found.second < plan.channels[tensor] * t.d * t.h * t.w;
    }
}

void WideNetwork::finish() {
    join_steps();
    find_gaps();
    lay_out();
    for (Step& s : plan.steps) {
        if (s.kind == Kind::conv) cut_convolution(s);
        if (s.kind == Kind::copy) find_runs(s);
        if (s.kind == Kind::norm_frozen) {
            Int blocks = plan.tensors[s.out].c;
            s.wide.tiles = blocks;
            s.wide.packed = plan.packed_size;
            s.wide.shift = plan.packed_size + blocks * kernels->lanes;
            plan.packed_size += 2 * blocks * kernels->lanes;
        }
    }
    auto larger_kernel = [&](const Step& s) {
        const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
        return s.kind == Kind::conv && plan.params[s.params[0]].size > (x.size() + y.size()) * kernels->lanes;
    };
    early_ = std::find_if(plan.steps.begin(), plan.steps.end(), larger_kernel) - plan.steps.begin();
    packed_ = allocate(plan.packed_size, bytes_);
    memory_.resize(threads);
    shares_.resize(threads);
    for (int k = 0; k < threads; k++) {
        shares_[k].tensors = plan.tensors;
        shares_[k].params = plan.params;
        for (Tensor& t : shares_[k].tensors) {
            Int from = cut(t.c, threads, k), to = cut(t.c, threads, k + 1);
            t.at += from * t.cs;
            t.c = to - from;
        }
    }
}

// Memory that other tensors use in between.
void WideNetwork::clear_halo(const Block& b, int tensor) const {
    const Tensor& t = plan.tensors[tensor];
    const Sides& side = sides_[tensor];
    Int lanes = kernels->lanes, bytes = lanes * sizeof(float);
    if (t.hs == t.w && t.ds == t.h * t.w && side.before[0] + side.after[0] == 0) return;
    for (int g = 0; g < b.group; g++)
        for (Int c = cut(t.c, b.parts, b.part); c < cut(t.c, b.parts, b.part + 1); c++)
            for (Int z = -side.before[0]; z < t.d + side.after[0]; z++)
                for (Int y = -side.before[1]; y < t.h + side.after[1]; y++) {
                    float* row = b.act + g * b.apart + (t.at + c * t.cs + z * t.ds + y * t.hs) * lanes;
                    if (z < 0 || z >= t.d || y < 0 || y >= t.h) {
                        std::memset(row - side.before[2] * lanes, 0, t.hs * bytes);
                    } else {
                        std::memset(row - side.before[2] * lanes, 0, side.before[2] * bytes);
                        std::memset(row + t.w * lanes, 0, side.after[2] * bytes);
                    }
                }
}

// Samples of one thread, or of all together.
void WideNetwork::predict(int thread, const Data& data, Int first, Int samples, bool together) {
    Memory& own = memory_[together ? 0 : thread];
    Block b{};
    b.packed = packed_.get();
    b.data = &data;
    b.act = own.act.get();
    b.apart = plan.act_size * kernels->lanes;
    b.group = int(samples);
    b.live = 1;
    b.part = together ? thread : 0;
    b.parts = together ? threads : 1;
    b.share = together ? &shares_[thread] : &plan;
    auto each = [&](auto f) {  // samples in turn, of which this thread has its share
        for (int g = b.part; g < samples; g += b.parts) {
            Block one = b;
            one.act = b.act + g * b.apart;
            one.place = first + g;
            one.rows[0] = data.order ? data.order[first + g] : first + g;
            f(one);
        }
    };
    for (int in : plan.inputs) clear_halo(b, in);
    each([&](Block& one) { kernels->wide_load(plan, one); });
    if (together) barrier_.wait();
    for (int g = 0; g < samples; g++) {
        Block one = b;
        one.act = b.act + g * b.apart;
        one.group = 1;
        take_steps(thread, one, 0, early_, together);
    }
    take_steps(thread, b, early_, plan.steps.size(), together);
    each([&](Block& one) { kernels->wide_store(plan, one); });
    if (together) barrier_.wait();
}

void WideNetwork::take_steps(int thread, Block& b, std::size_t from, std::size_t to, bool together) {
    for (std::size_t i = from; i < to; i++) {
        auto start = std::chrono::steady_clock::now();
        clear_halo(b, plan.steps[i].out);
        kernels->wide_forward(plan, plan.steps[i], b);
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
        bytes_ -= memory_[k].size * size * sizeof(float);
        memory_[k].act = allocate(wanted * size, bytes_);
        memory_[k].size = wanted;
    }
    if (profiling) predicted_ += double(data.samples);
    team_.run([&](int thread) {
        if (pack) {
            for (const Step& s : plan.steps) kernels->wide_pack(plan, s, packed_.get(), thread, threads);
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
        if (s.kind == Kind::conv) {
            const Tensor& y = plan.tensors[s.out];
            operations = 2.0 * plan.params[s.params[0]].size * y.d * y.h * y.w * predicted_;
        }
        result.push_back({"forward", int(i), seconds, operations});
    }
    return result;
}

}  // namespace convia
