// Random clouds, groups, logits and decoders to the kernels, under sanitizers: no crash, no index beyond a table, every
// step one of the outcomes that Status names.
//
// kernels_fuzz [rounds = 2000] [seed = 1]
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>

#include "face_step.hpp"
#include "token_decoder.hpp"

extern "C" {
void* surfaces_create(int64_t slots, int64_t bins, int64_t near, int64_t spread, int64_t open, float cover);
void surfaces_destroy(void* set);
void surfaces_begin(void* set, int64_t slot, const float* points, int64_t count, int32_t with_cost, int32_t with_faces);
void surfaces_fork(void* set, int64_t source, int64_t target);
void surfaces_release(void* set, int64_t slot);
}

namespace fuzz {

using namespace edgerunner;

uint64_t current_seed = 0;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s (round's seed %llu)\n", what, static_cast<unsigned long long>(current_seed));
    std::abort();
}

struct Random : std::mt19937_64 {
    explicit Random(uint64_t seed) : std::mt19937_64(seed) {}
    int64_t below(int64_t count) { return int64_t((*this)() % uint64_t(count)); }
    bool chance(int percent) { return below(100) < percent; }
    float unit() { return float(below(1 << 24)) / float(1 << 24); }
    float real() { return 2 * unit() - 1; }
    float odd() {
        const float values[] = {NAN, INFINITY, -INFINITY, 1e-42f, -1e-42f, 0, -0.0f, 3e38f, -3e38f, 1};
        return values[below(10)];
    }
};

// (3 * count) Points of every kind: none, all equal, on a plane, on a grid, huge, tiny, and with numbers that are none.
std::vector<float> any_cloud(Random& random, int64_t most) {
    const int64_t kind = random.below(8), count = kind == 0 ? 0 : 1 + random.below(most);
    std::vector<float> points(size_t(3 * count));
    for (size_t i = 0; i < points.size(); i++) {
        points[i] = kind == 1 ? 0.5f : random.real();
        if (kind == 2 && i % 3 == 1) points[i] = 0.25f;
        if (kind == 3) points[i] = std::round(points[i] * 3) / 3;
        if (kind == 4) points[i] *= 1e30f;
        if (kind == 5) points[i] *= 1e-42f;
        if (kind == 6 && random.chance(5)) points[i] = random.odd();
    }
    return points;
}

void fuzz_sampler(Random& random) {
    Sampling sampling{random.chance(20),
                      1 + random.below(80),
                      random.chance(50) ? 1 : 0.001 + random.unit() * 0.99,
                      random.chance(50) ? 0 : double(random.unit()),
                      0,
                      1,
                      0};
    std::vector<float> logits(size_t(1 + random.below(600)));
    const int odd = random.chance(50) ? 0 : int(random.below(100));
    for (float& logit : logits) logit = random.chance(odd) ? random.odd() : 10 * random.real();
    Sampler sampler;
    const bool valid = sampler.prepare(sampling, 0.01f + random.unit() * 3, logits.data(), int64_t(logits.size()));
    require(valid == can_choose(logits.data(), int64_t(logits.size())), "a set of logits is valid or not");
    for (int n = 0; n < 4; n++) {
        const int64_t id = sampler.draw(random.unit());
        require(id >= 0 && id < int64_t(logits.size()), "what is drawn is an id");
        require(!valid || logits[size_t(id)] > -INFINITY, "what may not come is not drawn");
    }
}

// A decoder of random weights, some of which may be no numbers.
class RandomDecoder {
  public:
    RandomDecoder(Random& random, int64_t capacity, int64_t slots) : random_(random) {
        d.width = 32, d.heads = 2, d.layers = 2, d.capacity = capacity, d.bins = 16;
        d.near = random.below(2) * 3, d.spread = random.below(2) * 2, d.open = random.below(2) * 2;
        d.counted = random.below(2), d.per_axis = 9;
        odd_ = random.chance(25) ? 1 : 0;
        const int64_t hidden = 64, sets = (d.near ? 2 : 0) + (d.spread ? 1 : 0) + (d.open ? 2 : 0);
        d.coordinates = table(d.bins * d.per_axis);
        d.place_table = table(21 * (d.bins + 1) * hidden), d.offset_table = table(18 * 2 * d.bins * hidden);
        d.kinds = table(7 * d.width), d.phases = table(4 * d.width), d.written_kinds = table(6 * d.width);
        for (PointSet* set : {&d.near_set, &d.spread_set, &d.open_set})
            *set = {linear(point_features, 16), linear(16, point_width), table(point_width)};
        d.input1 = linear(num_vertices + 6 + sets * point_width + 4 * d.counted, hidden),
        d.input2 = linear(hidden, d.width);
        layers_.resize(size_t(d.layers));
        for (FaceLayer& layer : layers_) {
            layer = {linear(d.width, 3 * d.width),
                     linear(d.width, d.width),
                     linear(d.width, 64),
                     linear(32, d.width),
                     table(d.width),
                     table(d.width),
                     table(16),
                     table(16),
                     nullptr,
                     nullptr};
            for (void** cache : {&layer.keys, &layer.values})
                *cache = const_cast<float*>(table(slots * capacity * d.width));
        }
        d.layer = layers_.data();
        d.norm = table(d.width), d.cosines = table(capacity * 8), d.sines = table(capacity * 8);
        d.ops = linear(d.width, 4), d.key = linear(d.width + 3 * d.per_axis, pointer_dim);
        d.copy1 = linear(d.width, hidden), d.copy2 = linear(hidden, 3), d.query = linear(d.width, pointer_dim);
        d.open_query = linear(d.width, pointer_dim + 1);
        d.open_key1 = linear(3 * (2 * point_frequencies + 1), hidden), d.open_key2 = linear(hidden, pointer_dim);
        for (int k = 0; k < 2; k++) d.values[k] = table(d.bins * d.width);
        for (int k = 0; k < 3; k++) {
            d.coordinate1[k] = linear(d.width, hidden);
            d.coordinate2[k] = linear(hidden, d.bins + num_references + num_priors[k]);
        }
        d.fading = table(d.bins);
    }
    FaceDecoder d{};

  private:
    const float* table(int64_t size) {
        kept_.emplace_back(new float[size_t(rounded(size))]());
        for (int64_t i = 0; i < size; i++)
            kept_.back()[size_t(i)] = random_.below(4096) < odd_ ? random_.odd() : random_.real();
        return kept_.back().get();
    }
    Linear linear(int64_t in, int64_t out) {
        const float* panels = table(rounded(out) * in);
        return {panels, random_.chance(50) ? table(rounded(out)) : nullptr, in, out};
    }

    Random& random_;
    int64_t odd_ = 0;
    std::vector<std::unique_ptr<float[]>> kept_;
    std::vector<FaceLayer> layers_;
};

constexpr int64_t slots = 3, room = 40, capacity = 64;

// The tables of all slots, as FaceState makes them.
struct State {
    const FaceDecoder& d;
    int64_t point_room;
    std::vector<float> keys, density, cloud, places, normals, temperatures;
    std::unique_ptr<bool[]> used;
    std::vector<int32_t> cells, groups, status;
    std::vector<int64_t> num_points, written, faces, ids, lengths, wished, max_faces, max_ids;

    State(const FaceDecoder& decoder, int64_t points) : d(decoder), point_room(rounded(points)) {
        keys.resize(slots * room * pointer_dim), density.resize(size_t(slots * 3 * d.bins));
        used.reset(new bool[size_t(slots * 3 * d.bins)]());
        for (auto* table : {&cloud, &places, &normals}) table->resize(size_t(slots * 3 * point_room));
        cells.resize(size_t(slots * 3 * point_room)), groups.resize(slots * room * 4), status.resize(slots);
        temperatures.assign(2 * slots, 1);
        for (auto* counts : {&num_points, &written, &faces, &ids, &lengths, &wished, &max_faces, &max_ids})
            counts->resize(slots);
    }

    void begin(Random& random, void* surfaces, int64_t slot, const std::vector<float>& points, const Sampling& sampling) {
        const int64_t count = int64_t(points.size() / 3);
        num_points[slot] = count;
        for (int64_t i = 0; i < 3 * count; i++) {
            const int64_t at = (3 * slot + i % 3) * point_room + i / 3;
            const float place = (points[size_t(i)] + 1) * float(d.bins) / 2;
            cloud[size_t(at)] = points[size_t(i)], places[size_t(at)] = place, normals[size_t(at)] = random.real();
            cells[size_t(at)] = place >= 0 ? int32_t(std::min(place, float(d.bins - 1))) : 0;
        }
        wished[slot] = random.below(20) - 1, max_faces[slot] = random.chance(50) ? 0 : 1 + random.below(10);
        max_ids[slot] = 3 + random.below(3 * room - 9);
        surfaces_begin(surfaces, slot, points.data(), count, sampling.candidates > 1, sampling.refuse_faces != 0);
    }
    FaceTables tables() {
        return {slots,
                room,
                point_room,
                point_room > 0,
                keys.data(),
                used.get(),
                density.data(),
                cloud.data(),
                places.data(),
                normals.data(),
                cells.data(),
                num_points.data(),
                groups.data(),
                written.data(),
                faces.data(),
                ids.data(),
                lengths.data(),
                wished.data(),
                max_faces.data(),
                max_ids.data(),
                temperatures.data(),
                status.data()};
    }
};

// Steps until every slot has ended; one is forked and one released on the way.
void fuzz_steps(Random& random, int64_t most_points) {
    const RandomDecoder decoder(random, capacity, slots);
    const FaceDecoder& d = decoder.d;
    const int64_t each = random.chance(30) ? 1 : 2 + random.below(6);
    const Sampling sampling{
        each == 1 && random.chance(50), 1 + random.below(20), 1, 0, random.chance(50) ? 0.0 : 0.5, each, random.below(2)};
    std::vector<std::vector<float>> clouds;
    int64_t most = 0;
    for (int64_t slot = 0; slot < slots; slot++) {
        clouds.push_back(any_cloud(random, most_points));
        most = std::max(most, int64_t(clouds.back().size() / 3));
    }
    State state(d, most);
    void* surfaces = surfaces_create(slots, d.bins, d.near, d.spread, d.open, 0.05f);
    for (int64_t slot = 0; slot < slots; slot++) state.begin(random, surfaces, slot, clouds[size_t(slot)], sampling);
    const int64_t width = draws_per_candidate * each + (each > 1);
    std::vector<float> uniforms(size_t(slots * room * width));
    for (float& uniform : uniforms) uniform = random.unit();
    std::vector<int64_t> running = {0, 1, 2};
    while (!running.empty()) {
        const FaceTables tables = state.tables();
        const FaceRun run{surfaces,
                          int64_t(running.size()),
                          1 + random.below(5),
                          1,
                          running.data(),
                          uniforms.data(),
                          room,
                          width,
                          nullptr,
                          nullptr};
        require(run_steps<float>(d, tables, run, sampling) >= 0, "the head dimension is compiled");
        std::vector<int64_t> still;
        for (int64_t slot : running) {
            const Status status = Status(state.status[size_t(slot)]);
            require(status >= Status::running && status <= Status::invalid, "a step comes to something");
            require(state.written[size_t(slot)] <= room, "there is room");
            for (int64_t n = 0; n < 4 * state.written[size_t(slot)]; n++) {
                const int32_t value = state.groups[size_t(4 * slot * room + n)];
                require(value >= 0 && value < (n % 4 ? d.bins : int32_t(end)), "what is written is a group");
            }
            if (status == Status::running) still.push_back(slot);
        }
        running = still;
        if (random.chance(10)) surfaces_fork(surfaces, 0, 2);  // of no slot that runs, perhaps: then it is refused later
    }
    for (int64_t slot = 0; slot < slots; slot++) surfaces_release(surfaces, slot);
    surfaces_destroy(surfaces);
}

// Random groups to surfaces: they are committed where they may come; a fork observes the same.
void fuzz_surfaces(Random& random, int64_t most_points) {
    const int64_t bins = 2 + random.below(40), near = random.below(6), spread = random.below(6), open = random.below(4);
    auto* set =
        static_cast<SurfaceSet*>(surfaces_create(2, bins, near, spread, open, random.chance(20) ? 0 : random.unit() / 5));
    const std::vector<float> points = any_cloud(random, most_points);
    const int64_t count = int64_t(points.size() / 3), both[] = {0, 1};
    surfaces_begin(set, 0, points.data(), count, random.chance(70), random.chance(70));
    Observed observed, forked;
    std::vector<int32_t> corners;
    for (int n = 0; n < 60; n++) {
        int32_t candidates[3][4], chosen[4];
        int64_t some = 0;
        for (int tries = 0; tries < 40 && some < 3; tries++) {
            int32_t* group = candidates[some];
            group[0] = int32_t(random.below(9)) - 1;
            for (int axis = 0; axis < 3; axis++) group[1 + axis] = int32_t(random.below(bins + 2)) - 1;
            some += may_come(*set, 0, group);
        }
        if (!some) continue;
        choose(*set, 0, candidates[0], some, random.unit(), random.unit(), chosen);
        require(may_come(*set, 0, chosen), "what is chosen may come");
        for (int32_t kind = 0; kind < num_kinds; kind++) refused_corners(*set, 0, kind, corners);
        commit(*set, 0, chosen);
        surfaces_fork(set, 0, 1);
        observe(*set, 1, both, observed);
        observe(*set, 1, both + 1, forked);
        require(observed.gate == forked.gate && observed.points == forked.points &&
                    observed.open_vertices == forked.open_vertices && observed.open_edges == forked.open_edges,
                "a fork observes the same");
        for (int32_t point : observed.points) require(point >= -1 && point < count, "points are indices");
        require(observed.uncovered[0] >= 0 && observed.uncovered[0] <= 1, "a share is one");
    }
    surfaces_destroy(set);
}

}  // namespace fuzz

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? std::atol(argv[1]) : 2000;
    const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    for (long round = 0; round < rounds; round++) {
        fuzz::current_seed = seed + uint64_t(round) * 1000003;
        fuzz::Random random(fuzz::current_seed);
        for (int n = 0; n < 20; n++) fuzz::fuzz_sampler(random);
        fuzz::fuzz_surfaces(random, round == 0 ? 100000 : 400);
        fuzz::fuzz_steps(random, round == 1 ? 100000 : 300);
    }
    std::printf("%ld rounds, no check failed\n", rounds);
}
