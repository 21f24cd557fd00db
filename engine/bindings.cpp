// What Python sees of the engine.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "isa.hpp"
#include "network.hpp"
#include "wide_network.hpp"
#include "wide_training.hpp"

namespace nb = nanobind;
using namespace convia;

namespace {

struct Isa { const char* name; const Kernels* kernels; };

std::vector<Isa> supported() {  // the best first
    std::vector<Isa> found;
#define ROW(isa, runs) if (runs) found.push_back({#isa, kernels_##isa()});
    EACH_ISA(ROW)
#undef ROW
    return found;
}

const Kernels* chosen(const std::string& name) {
    for (const Isa& isa : supported())
        if (name == isa.name) return isa.kernels;
    throw std::invalid_argument("unknown instruction set " + name);
}

const ByteKernels* chosen_bytes(const std::string& name) {
#define ROW(row, isa, runs) if (name == #row && runs) return byte_kernels_##row();
    EACH_BYTE_ISA(ROW)
#undef ROW
    throw std::invalid_argument("unknown kernels on bytes " + name);
}

template <class T>
T take(const nb::dict& d, const char* key, T otherwise) {
    return d.contains(key) ? nb::cast<T>(d[key]) : otherwise;
}

void take3(const nb::dict& d, const char* key, Int* target) {
    if (!d.contains(key)) return;
    auto v = nb::cast<std::vector<Int>>(d[key]);
    for (int i = 0; i < 3; i++) target[i] = v[i];
}

// Numbers of elements (channel, z, y, x) of a tensor without its halo, as offsets.
std::vector<std::int32_t> offsets(const Tensor& t, const std::vector<Int>& elements, bool gradient) {
    std::vector<std::int32_t> result;
    for (Int e : elements) {
        Int x = e % t.w, y = e / t.w % t.h, z = e / (t.w * t.h) % t.d, c = e / (t.w * t.h * t.d);
        result.push_back(gradient ? t.gat + c * t.gcs + z * t.gds + y * t.ghs + x
                                  : t.at + c * t.cs + z * t.ds + y * t.hs + x);
    }
    return result;
}

// Where channels are the lanes, copies keep the numbers of elements: memory is laid out later.
template <class N>
void add_step(N& n, const nb::dict& d) {
    Step s;
    s.kind = Kind(nb::cast<int>(d["kind"]));
    s.act = Act(take(d, "act", 0));
    s.join = Join(take(d, "join", 0));
    s.alpha = take(d, "alpha", 0.f);
    s.rate = take(d, "rate", 0.f);
    s.epsilon = take(d, "epsilon", 0.f);
    s.momentum = take(d, "momentum", 0.f);
    s.ins = nb::cast<std::vector<int>>(d["ins"]);
    s.out = take(d, "out", -1);
    s.params = take(d, "params", std::vector<int>{});
    s.groups = take(d, "groups", Int(1));
    take3(d, "kernel", s.k);
    take3(d, "strides", s.s);
    take3(d, "dilation", s.dil);
    take3(d, "pad", s.pad);
    s.again = take(d, "again", Int(-1));
    s.skip_backward = take(d, "skip_backward", false);
    s.noise = Noise(take(d, "noise", 0));
    s.centered = take(d, "centered", true);
    s.index = take(d, "index", std::vector<std::int32_t>{});
    s.member = take(d, "member", std::vector<std::int32_t>{});
    s.key = take(d, "key", 0);
    s.axis = take(d, "axis", 0);
    s.factors = take(d, "factors", std::vector<float>{});
    s.rectifier = {take(d, "slope", 0.f), take(d, "threshold", 0.f), take(d, "low", 0.f), take(d, "most", 0.f)};
    if (s.kind == Kind::copy) {
        auto from = nb::cast<std::vector<Int>>(d["from"]), to = nb::cast<std::vector<Int>>(d["to"]);
        if constexpr (std::is_base_of_v<WideLayout, N>) {
            s.from.assign(from.begin(), from.end());
            s.to.assign(to.begin(), to.end());
        } else {
            const Tensor &x = n.plan.tensors[s.ins[0]], &y = n.plan.tensors[s.out];
            s.from = offsets(x, from, false);
            s.to = offsets(y, to, false);
            s.grad_from = offsets(x, from, true);
            s.grad_to = offsets(y, to, true);
        }
        s.covers = nb::cast<bool>(d["covers"]);
    }
    s.number = int(n.plan.steps.size());
    n.plan.steps.push_back(std::move(s));
}

template <class N>
int add_param(N& n, std::uintptr_t data, Int size, bool learns, float l1, float l2, float decay,
              const std::vector<std::uintptr_t>& slots, std::uintptr_t sum, std::uintptr_t average) {
    Param p{reinterpret_cast<float*>(data), size, -1, l1, l2, decay, {nullptr, nullptr, nullptr}};
    for (std::size_t i = 0; i < slots.size() && i < 3; i++) p.slots[i] = reinterpret_cast<float*>(slots[i]);
    p.sum = reinterpret_cast<float*>(sum);
    p.average = reinterpret_cast<float*>(average);
    if (learns) {
        p.grad = n.plan.weight_size;
        n.plan.weight_size += (size + 15) / 16 * 16;
    }
    n.plan.params.push_back(p);
    return int(n.plan.params.size()) - 1;
}

template <class N>
void add_loss(N& n, const nb::dict& d) {
    Loss loss;
    loss.kind = LossKind(nb::cast<int>(d["kind"]));
    loss.output = nb::cast<int>(d["output"]);
    loss.target = nb::cast<int>(d["target"]);
    loss.sparse = take(d, "sparse", false);
    loss.fused = take(d, "fused", false);
    loss.logits = take(d, "logits", false);
    loss.accuracy = take(d, "accuracy", 0);
    loss.epsilon = take(d, "epsilon", 1e-7f);
    loss.smoothing = take(d, "smoothing", 0.f);
    loss.threshold = take(d, "threshold", 0.5f);
    loss.factor = take(d, "factor", 1.f);
    loss.delta = take(d, "delta", 1.f);
    n.plan.losses.push_back(loss);
}

template <class N>
void set_optimizer(N& n, const nb::dict& d) {
    Optimizer& o = n.plan.optimizer;
    o.rule = Rule(nb::cast<int>(d["rule"]));
    o.a = take(d, "a", 0.0);
    o.b = take(d, "b", 0.0);
    o.epsilon = take(d, "epsilon", 1e-7);
    o.variant = take(d, "variant", false);
    o.clip_value = take(d, "clip_value", 0.f);
    o.clip_norm = take(d, "clip_norm", 0.f);
    o.clip_global = take(d, "clip_global", 0.f);
    o.every = take(d, "every", Int(1));
    o.average_momentum = take(d, "average_momentum", 0.f);
    o.overwrite = take(d, "overwrite", Int(0));
}

// What networks of both layouts have.
template <class N>
void describe(nb::class_<N>& c) {
    c.def("__init__", [](N* self, const std::string& isa, int threads) { new (self) N(chosen(isa), threads); })
        .def_prop_ro("isa", [](const N& n) { return n.kernels->name; })
        .def_prop_ro("lanes", [](const N& n) { return n.kernels->lanes; })
        .def_ro("threads", &N::threads)
        .def_prop_ro("bytes", &N::bytes)
        .def("tensor", [](N& n, const std::vector<Int>& shape, const std::vector<Int>& before, const std::vector<Int>& after) {
            return n.add_tensor(shape[0], shape[1], shape[2], shape[3], before.data(), after.data());
        })
        .def("input", [](N& n, int tensor) { n.plan.inputs.push_back(tensor); })
        .def("output", [](N& n, int tensor) { n.plan.outputs.push_back({tensor, n.plan.tensors[tensor].size()}); })
        .def("param", &add_param<N>, nb::arg("data"), nb::arg("size"), nb::arg("learns"), nb::arg("l1"), nb::arg("l2"),
             nb::arg("decay"), nb::arg("slots"), nb::arg("sum") = 0, nb::arg("average") = 0)
        .def("step", &add_step<N>)
        .def_rw("profiling", &N::profiling)
        .def_prop_ro("timings", [](const N& n) {
            std::vector<std::tuple<std::string, int, double, double>> rows;
            for (const Timing& t : n.timings()) rows.emplace_back(t.pass, t.step, t.seconds, t.operations);
            return rows;
        });
}

using Address = std::uintptr_t;
using Inputs = std::vector<std::pair<Address, bool>>;                     // data, are they bytes
using Targets = std::vector<std::tuple<Address, Address, Address>>;       // dense, labels, weights
using Result = std::pair<std::vector<std::pair<double, double>>, double>;  // (loss, hits) per output, penalty

template <class N>
Result run(N& n, int mode, const Inputs& inputs, const Targets& targets, const std::vector<Address>& outputs,
           Address order, Int samples, Int batch, std::vector<double> rates, Int t, std::vector<std::uint64_t> keys, bool guarded) {
    Job job{Job::Mode(mode), {}, batch, std::move(rates), t, std::move(keys), guarded};
    for (auto [data, bytes] : inputs) job.data.inputs.push_back({reinterpret_cast<void*>(data), bytes});
    for (auto [dense, labels, weight] : targets)
        job.data.targets.push_back({reinterpret_cast<float*>(dense), reinterpret_cast<std::int32_t*>(labels),
                                    reinterpret_cast<float*>(weight)});
    for (Address out : outputs) job.data.outputs.push_back(reinterpret_cast<float*>(out));
    job.data.order = reinterpret_cast<Int*>(order);
    job.data.samples = samples;
    {
        nb::gil_scoped_release release;
        n.run(job);
    }
    Result result{{}, n.penalty};
    for (const Tally& tally : n.tallies) result.first.emplace_back(tally.loss, tally.hits);
    return result;
}

template <class N>
void describe_training(nb::class_<N>& c) {
    describe(c);
    c.def("loss", &add_loss<N>)
        .def("optimizer", &set_optimizer<N>)
        .def("finish", &N::finish)
        .def("run", &run<N>, nb::arg("mode"), nb::arg("inputs"), nb::arg("targets"), nb::arg("outputs"), nb::arg("order"), nb::arg("samples"),
             nb::arg("batch"), nb::arg("rates"), nb::arg("t"), nb::arg("keys"), nb::arg("guarded") = false)
        .def("gradient", &N::gradient);
}

void run_wide(WideNetwork& n, const Inputs& inputs, const std::vector<Address>& outputs, Address order, Int samples, std::uint64_t version) {
    Data data;
    for (auto [each, bytes] : inputs) data.inputs.push_back({reinterpret_cast<void*>(each), bytes});
    for (Address out : outputs) data.outputs.push_back(reinterpret_cast<float*>(out));
    data.order = reinterpret_cast<Int*>(order);
    data.samples = samples;
    nb::gil_scoped_release release;
    n.run(data, version);
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The CPU engine: plans of networks and their execution.";
    m.def("instruction_sets", [] {
        std::vector<std::pair<std::string, int>> names;
        for (const Isa& isa : supported()) names.emplace_back(isa.name, isa.kernels->lanes);
        return names;
    }, "The instruction sets of this machine for which there are kernels, the best first, with their lanes.");
    m.def("byte_kernels", [] {
        std::vector<std::pair<std::string, std::string>> names;
#define ROW(row, isa, runs) if (runs) names.emplace_back(#row, #isa);
        EACH_BYTE_ISA(ROW)
#undef ROW
        return names;
    }, "The kernels on bytes that this machine can run, the best of each instruction set first, and its name.");
    m.def("peak", [](const std::string& isa) {
        double best = 0;
        for (int round = 0; round < 20; round++) best = std::max(best, chosen(isa)->peak(20000));
        return best;
    }, "Floating-point operations per second of one thread that only multiplies and adds in registers.");
    auto wide = nb::class_<WideNetwork>(m, "WideNetwork");
    describe(wide);
    wide.def("finish", &WideNetwork::finish)
        .def("run", &run_wide)
        .def("byte_kernels", [](WideNetwork& n, const std::string& name) { n.byte_kernels = chosen_bytes(name); })
        .def("quantum", [](WideNetwork& n, int tensor, float scale, int zero) { n.plan.quanta[tensor] = {scale, zero}; })
        .def_prop_ro("kept", &WideNetwork::kept);
    auto network = nb::class_<Network>(m, "Network");
    describe_training(network);
    auto training = nb::class_<WideTraining>(m, "WideTraining");
    describe_training(training);
}
