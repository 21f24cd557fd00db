// A check of the engine without Python: small networks on every instruction set of the machine, with one to three
// threads, against the reference in double precision; gradients against its central differences, Adam and the images
// against their formulas. Prints a line per network; exits with 1 if anything is wrong.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../isa.hpp"
#include "../network.hpp"
#include "../warp.hpp"
#include "../wide_network.hpp"
#include "reference.hpp"

using namespace convia;

namespace {

struct Isa { const char* name; const Kernels* kernels; Change change; };

int failures = 0;

bool near(double a, double b, double tolerance) { return std::fabs(a - b) <= tolerance; }

void expect(bool right, const std::string& where, double got, double wanted) {
    if (right) return;
    failures++;
    std::printf("%s: %.9g, not %.9g\n", where.c_str(), got, wanted);
}

// The weights of a model as the engine sees them, with the slots of Adam.
struct Weights {
    std::vector<std::vector<float>> values, first, second;
    explicit Weights(const Model& model) {
        for (auto& w : model.weights) {
            values.emplace_back(w.begin(), w.end());
            first.emplace_back(w.size(), 0.f);
            second.emplace_back(w.size(), 0.f);
        }
    }
};

std::vector<std::int32_t> offsets(const Tensor& t, bool gradient) {  // of all elements
    std::vector<std::int32_t> result;
    for (Int c = 0; c < t.c; c++)
        for (Int z = 0; z < t.d; z++)
            for (Int y = 0; y < t.h; y++)
                for (Int x = 0; x < t.w; x++)
                    result.push_back(gradient ? t.gat + c * t.gcs + z * t.gds + y * t.ghs + x
                                              : t.at + c * t.cs + z * t.ds + y * t.hs + x);
    return result;
}

template <class N>
void add_parameters(N& n, const Model& model, Weights& weights) {
    for (std::size_t i = 0; i < weights.values.size(); i++) {
        Int size = weights.values[i].size();
        Param p{weights.values[i].data(), size, -1, 0, 0, 0, {weights.first[i].data(), weights.second[i].data(), nullptr}};
        if (model.learns[i]) {
            p.grad = n.plan.weight_size;
            n.plan.weight_size += (size + 15) / 16 * 16;
        }
        n.plan.params.push_back(p);
    }
}

// As Python's Plan.assemble does it.
void assemble(Network& n, const Model& model, Weights& weights, Int batch) {
    for (std::size_t i = 0; i < model.shapes.size(); i++) {
        const Shape& s = model.shapes[i];
        n.add_tensor(s.c, s.d, s.h, s.w, model.halos[i].before, model.halos[i].after);
    }
    add_parameters(n, model, weights);
    for (const Step& layer : model.steps) {
        if (layer.kind == Kind::norm_batch) {
            Step stats;
            stats.kind = Kind::norm_stats;
            stats.ins = layer.ins;
            n.plan.steps.push_back(stats);
        }
        Step s = layer;
        if (s.kind == Kind::copy) {
            const Tensor &x = n.plan.tensors[s.ins[0]], &y = n.plan.tensors[s.out];
            s.from = offsets(x, false), s.to = offsets(y, false);
            s.grad_from = offsets(x, true), s.grad_to = offsets(y, true);
        }
        n.plan.steps.push_back(s);
    }
    Loss loss;
    loss.output = loss.target = model.steps.back().out;
    loss.kind = LossKind::mean_squared;
    if (model.classifies()) {  // softmax and its loss are one
        loss.kind = LossKind::softmax_crossentropy;
        loss.sparse = loss.fused = true;
        loss.accuracy = 1;
        loss.target = model.steps.back().ins[0];
        n.plan.steps.back().skip_backward = true;
    }
    n.plan.losses.push_back(loss);
    n.plan.inputs.push_back(0);
    n.plan.outputs.push_back({loss.output, model.shapes[loss.output].size()});
    n.plan.optimizer.rule = Rule::adam;
    n.plan.optimizer.a = 0.9, n.plan.optimizer.b = 0.999;
    n.finish(batch, true);
}

Job job_of(Job::Mode mode, const Model& model, Int batch) {
    Job job{mode, {}, batch, {}, 1, {}};
    job.data.inputs.push_back({model.x.data(), false});
    job.data.targets.push_back({model.y.data(), model.labels.data(), nullptr});
    job.data.samples = batch;
    return job;
}

void check_gradients(const Network& n, const Model& model, const std::string& name) {
    for (std::size_t i = 0; i < model.slopes.size(); i++) {
        double largest = 1e-3;
        for (const Slope& s : model.slopes[i]) largest = std::fmax(largest, std::fabs(s.value));
        for (const Slope& s : model.slopes[i]) {
            double got = n.gradient(int(i))[s.place];
            expect(near(got, s.value, 2e-4 * largest), name + " gradient of weight " + std::to_string(i), got, s.value);
        }
    }
}

// One update, of which the engine's own gradient is known afterwards.
void check_adam(Network& n, const Model& model, Weights& weights, Int batch, const std::string& name) {
    for (Int t = 1; t <= 2; t++) {
        Weights before = weights;
        Job job = job_of(Job::train, model, batch);
        job.rates = {0.01}, job.t = t;
        n.run(job);
        for (std::size_t i = 0; i < model.weights.size(); i++)
            for (std::size_t k = 0; model.learns[i] && k < before.values[i].size(); k++) {
                double g = n.gradient(int(i))[k], m = 0.9 * before.first[i][k] + 0.1 * g;
                double v = 0.999 * before.second[i][k] + 0.001 * g * g;
                double rate = 0.01 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
                double wanted = before.values[i][k] - rate * m / (std::sqrt(v) + 1e-7);
                expect(near(weights.values[i][k], wanted, 1e-5), name + " Adam", weights.values[i][k], wanted);
            }
    }
}

void check_network(const Model& model, const Isa& isa, int threads) {
    const Int batch = model.batch;
    std::string name = model.name + ", " + isa.name + ", " + std::to_string(threads) + " threads:";
    Weights weights(model);
    Network n(isa.kernels, threads);
    assemble(n, model, weights, batch);
    std::vector<float> seen(model.predictions.size());
    Job job = job_of(Job::predict, model, batch);
    job.data.outputs.push_back(seen.data());
    n.run(job);
    for (std::size_t i = 0; i < seen.size(); i++)
        expect(near(seen[i], model.predictions[i], 2e-5 * std::fmax(1, std::fabs(model.predictions[i]))), name + " prediction",
               seen[i], model.predictions[i]);
    job = job_of(Job::train, model, batch);
    job.rates = {0};  // the threads' gradients are added up where weights are updated
    n.run(job);
    for (auto* slots : {&weights.first, &weights.second})
        for (auto& slot : *slots) std::fill(slot.begin(), slot.end(), 0.f);
    expect(near(n.tallies[0].loss / batch, model.loss, 2e-5 * std::fmax(1, model.loss)), name + " loss",
           n.tallies[0].loss / batch, model.loss);
    check_gradients(n, model, name);
    check_adam(n, model, weights, batch, name);
    double first = n.tallies[0].loss;
    for (Int t = 3; t < 15; t++) {
        job = job_of(Job::train, model, batch);
        job.rates = {0.01}, job.t = t;
        n.run(job);
    }
    expect(n.tallies[0].loss < first, name + " loss after some steps", n.tallies[0].loss, first);
}

// Predictions with channels as lanes, where that layout knows all steps: samples alone and together, twice, so that memory
// that is used again is seen.
bool check_wide(const Model& model, const Isa& isa, int threads) {
    for (const Step& s : model.steps) {
        Int ins = model.shapes[s.ins[0]].c, outs = model.shapes[s.out].c;
        bool grouped = s.kind == Kind::conv && s.groups > 1 && !(s.groups == ins && ins == outs);
        bool stretched = s.kind == Kind::join && std::any_of(s.ins.begin(), s.ins.end(), [&](int in) { return model.shapes[in].c != outs; });
        if (s.kind > Kind::conv_transpose || grouped || stretched) return false;
    }
    Weights weights(model);
    WideNetwork n(isa.kernels, threads);
    for (std::size_t i = 0; i < model.shapes.size(); i++) {
        const Shape& s = model.shapes[i];
        n.add_tensor(s.c, s.d, s.h, s.w, model.halos[i].before, model.halos[i].after);
    }
    add_parameters(n, model, weights);
    for (Step s : model.steps) {
        const Shape& x = model.shapes[s.ins[0]];
        for (Int e = 0; s.kind == Kind::copy && e < x.c * x.d * x.h * x.w; e++) s.from.push_back(e), s.to.push_back(e);
        n.plan.steps.push_back(s);
    }
    int output = model.steps.back().out;
    n.plan.inputs.push_back(0);
    n.plan.outputs.push_back({output, model.shapes[output].size()});
    n.finish();
    std::vector<float> seen(model.predictions.size());
    Data data;
    data.inputs.push_back({model.x.data(), false});
    data.outputs.push_back(seen.data());
    data.samples = model.batch;
    for (int round = 0; round < 2; round++) {
        std::fill(seen.begin(), seen.end(), 9.f);
        n.run(data, 1);
        for (std::size_t i = 0; i < seen.size(); i++)
            expect(near(seen[i], model.predictions[i], 2e-5 * std::fmax(1, std::fabs(model.predictions[i]))),
                   model.name + ", " + isa.name + ", channels as lanes", seen[i], model.predictions[i]);
    }
    return true;
}

// Many short calls, so that threads wait for each other in all ways: spinning and asleep.
void check_waiting(const Model& model, const Isa& isa) {
    Weights weights(model);
    Network n(isa.kernels, 3);
    assemble(n, model, weights, model.batch);
    for (int round = 0; round < 200; round++) {
        Job job = job_of(Job::train, model, model.batch);
        job.rates = {0.001}, job.t = round + 1;
        n.run(job);
        if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    expect(std::isfinite(n.tallies[0].loss), model.name + " after 200 calls", n.tallies[0].loss, 0);
}

// An image shifted by whole pixels, flipped, and halfway between two pixels.
void check_images(const Isa& isa) {
    const std::int64_t h = 6, w = 9, channels = 3;
    std::vector<std::uint8_t> image(h * w * channels);
    for (std::size_t i = 0; i < image.size(); i++) image[i] = std::uint8_t(i * 37 % 251);
    std::uint64_t sources[3];
    for (auto& source : sources) source = reinterpret_cast<std::uint64_t>(image.data());
    const double maps[18] = {1, 0, 0, 1, 1, 2, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0.5};
    const std::uint8_t flags[3] = {moves, flips_columns, moves};
    const float shifts[3] = {};
    std::uint8_t beyond[3] = {};
    std::vector<float> out(3 * image.size());
    isa.change({sources, true, out.data(), 3, 1, h, w, channels, maps, flags, shifts, nullptr, channels, beyond, 1,
                Fill::nearest, 0, false, 0.5f});
    auto pixel = [&](std::int64_t y, std::int64_t x, std::int64_t c) {
        y = std::min(y, h - 1), x = std::min(x, w - 1);
        return double(image[(y * w + x) * channels + c]);
    };
    const float* p = out.data();
    for (int k = 0; k < 3; k++)
        for (std::int64_t y = 0; y < h; y++)
            for (std::int64_t x = 0; x < w; x++)
                for (std::int64_t c = 0; c < channels; c++, p++) {
                    double wanted = k == 0   ? pixel(y + 1, x + 2, c)
                                    : k == 1 ? pixel(y, w - 1 - x, c)
                                             : (pixel(y, x, c) + pixel(y, x + 1, c)) / 2;
                    expect(near(*p, wanted / 2, 1e-4), std::string(isa.name) + " image " + std::to_string(k), *p, wanted / 2);
                }
}

}  // namespace

int main(int count, char** names) {  // names of instruction sets; without any, all of the machine
    std::vector<Isa> isas;
#define ROW(isa, runs) if (runs) isas.push_back({#isa, kernels_##isa(), change_##isa()});
    EACH_ISA(ROW)
#undef ROW
    auto wanted = [&](const Isa& isa) {
        bool found = count < 2;
        for (int i = 1; i < count; i++) found |= !std::strcmp(names[i], isa.name);
        return found;
    };
    std::vector<Model> models = all_models();
    int checked = 0, wide = 0;
    for (const Isa& isa : isas) {
        if (!wanted(isa)) continue;
        checked++;
        for (const Model& model : models) {
            int before = failures;
            for (int threads = 1; threads <= 3; threads++) {
                check_network(model, isa, threads);
                wide += check_wide(model, isa, threads);
            }
            std::printf("%s %s: %s\n", isa.name, model.name.c_str(), failures == before ? "ok" : "wrong");
        }
        int before = failures;
        check_waiting(models[0], isa);
        check_images(isa);
        std::printf("%s waiting, images: %s\n", isa.name, failures == before ? "ok" : "wrong");
    }
    std::printf("%d instruction sets, %d networks with channels as lanes, %d failures\n", checked, wide, failures);
    return failures || !checked || !wide;
}
