// Photographs (JPEG, ITU-T T.81: baseline, three colours of 8 bits, one scan), of which only some rows and columns are
// wanted, as when they are made smaller by taking the nearest pixels; compiled once per instruction set.
//
// The pixels are, bit by bit, those of libjpeg's and libjpeg-turbo's defaults: the accurate integer transform, "fancy"
// upsampling. All of the file is read, but transformed are only the blocks and rows that are looked at, as many blocks
// at once as there are lanes. Whatever is not ordinary, or would not be decoded to the same pixels by everybody, is left
// to others: the answer is false. So nothing here has to guess what a damaged file might have meant.
#include "jpeg.hpp"
#include "huffman.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {

using Int = std::int64_t;
typedef std::int32_t V __attribute__((vector_size(4 * LANES)));
typedef Short VS __attribute__((vector_size(2 * LANES)));

constexpr int BLOCK = 64 * LANES;  // numbers of LANES blocks, which lie beside each other
constexpr Int MARGIN = 512;     // zeros behind the bits, more than a block can take

// Place in a block, row by row, of each coefficient (figure 5): along the diagonals, up and down in turns.
constexpr std::array<Byte, 64> zigzag() {
    std::array<Byte, 64> places{};
    for (int sum = 0, k = 0; sum < 15; sum++)
        for (int i = 0; i <= sum; i++) {
            const int row = sum % 2 ? i : sum - i, column = sum - row;
            if (row < 8 && column < 8) places[k++] = Byte(8 * row + column);
        }
    return places;
}
constexpr std::array<Byte, 64> ZIGZAG = zigzag();
constexpr std::array<Int, 64> PLACES = [] {
    std::array<Int, 64> places{};
    for (int k = 0; k < 64; k++) places[k] = ZIGZAG[k] * LANES;
    return places;
}();

// One of the three colours.
struct Plane {
    Int across, down;         // blocks of it that a unit of the file has
    Int width, height;        // samples
    Int groups;               // of LANES blocks in a row of blocks
    const std::uint16_t* steps;  // of quantization, row by row
    const Codes *differences, *numbers;
    int level = 0;            // the last block's first coefficient
    std::vector<Short> coefficients;  // of a row of units: (down, groups, 64, LANES)
    std::vector<Byte> samples;        // of two rows of units: (2 · down · 8, groups · LANES · 8)
    std::vector<Byte> wanted;         // per row of blocks, a bit for each row of samples

    Int stride() const { return groups * LANES * 8; }
    Byte* row(Int y) { return samples.data() + y % (16 * down) * stride(); }
    const Byte* row(Int y) const { return samples.data() + y % (16 * down) * stride(); }
};

// Read a block's coefficients; they are LANES numbers apart.
static bool read_block(Bits& in, Plane& plane, Short* to) {
    in.fill();
    const Codes::Step first = plane.differences->next(in);
    plane.level += first.value;
    if (first.steps != 1 || plane.level != Short(plane.level)) return false;
    to[0] = Short(plane.level);
    for (int k = 0;;) {
        in.fill();
        for (int i = 0; i < TOGETHER; i++) {
            const Codes::Step step = plane.numbers->next(in);
            k += step.steps;
            if (!step.steps || k > 63) return step.steps == END;
            to[PLACES[k]] = step.value;
            if (k == 63) return true;
        }
    }
}

// Eight numbers, `stride` apart, from frequencies to places: Loeffler, Ligtenberg, Moschytz, "Practical fast 1-D DCT
// algorithms with 11 multiplications", 1989, in whole numbers with 13 bits behind the point, of which `cut` go at the end.
static inline void transform(V* x, int stride, int cut) {
    const V half = V{} + (1 << (cut - 1));
    const V even = (x[2 * stride] + x[6 * stride]) * 4433;
    const V low = even + x[2 * stride] * 6270, high = even - x[6 * stride] * 15137;
    const V sum = ((x[0] + x[4 * stride]) << 13) + half, difference = ((x[0] - x[4 * stride]) << 13) + half;
    const V a = sum + low, d = sum - low, b = difference + high, c = difference - high;
    const V x1 = x[stride], x3 = x[3 * stride], x5 = x[5 * stride], x7 = x[7 * stride];
    const V all = (x1 + x3 + x5 + x7) * 9633;
    const V outer = all - (x1 + x5) * 3196, inner = all - (x3 + x7) * 16069;
    const V ends = (x1 + x7) * 7373, middles = (x3 + x5) * 20995;
    const V p = x1 * 12299 - ends + outer, q = x3 * 25172 - middles + inner;
    const V r = x5 * 16819 - middles + outer, s = x7 * 2446 - ends + inner;
    x[0] = (a + p) >> cut, x[7 * stride] = (a - p) >> cut;
    x[stride] = (b + q) >> cut, x[6 * stride] = (b - q) >> cut;
    x[2 * stride] = (c + r) >> cut, x[5 * stride] = (c - r) >> cut;
    x[3 * stride] = (d + s) >> cut, x[4 * stride] = (d - s) >> cut;
}

static bool any(V v) {
    std::int32_t lanes[LANES], sum = 0;
    std::memcpy(lanes, &v, sizeof v);
    for (int k = 0; k < LANES; k++) sum |= lanes[k];
    return sum != 0;
}

template <std::size_t... I>
static inline void store_in_turns(V a, V b, Byte* to, std::index_sequence<I...>) {
    const V halves[2] = {__builtin_shufflevector(a, b, (I % 2 * LANES + I / 2)...),
                         __builtin_shufflevector(a, b, (I % 2 * LANES + LANES / 2 + I / 2)...)};
    std::memcpy(to, halves, sizeof halves);
}

// Columns 0…7 of a row of LANES blocks, one block behind the other, as bytes (of little-endian machines).
static inline void store(const V* x, Byte* to) {
    V fours[2];
    for (int k = 0; k < 2; k++) {
        V sum{};
        for (int i = 0; i < 4; i++) {
            V v = x[4 * k + i] + 128;
            v = v < 0 ? V{} : v;
            v = v > 255 ? V{} + 255 : v;
            sum |= v << 8 * i;
        }
        fours[k] = sum;
    }
    store_in_turns(fours[0], fours[1], to, std::make_index_sequence<LANES>());
}

// LANES blocks from coefficients to the wanted rows of their samples. False: numbers that no photograph has, with which
// decoders of 16 and of 32 bits would differ.
static bool transform_blocks(const Short* from, const std::uint16_t* steps, unsigned rows, Byte* to, Int stride) {
    V x[64], beyond{};
    for (int k = 0; k < 64; k++) {
        VS v;
        std::memcpy(&v, from + k * LANES, sizeof v);
        x[k] = __builtin_convertvector(v, V) * std::int32_t(steps[k]);
        beyond |= (x[k] + 4096) & ~8191;
    }
    if (any(beyond)) return false;
    for (int column = 0; column < 8; column++) transform(x + column, 8, 11);
    for (int k = 0; k < 64; k++) beyond |= (x[k] + 8192) & ~16383;
    if (any(beyond)) return false;
    for (int row = 0; row < 8; row++) {
        if (!(rows >> row & 1)) continue;
        transform(x + 8 * row, 1, 18);
        store(x + 8 * row, to + row * stride);
    }
    return true;
}

// Takes a line of the photograph: its number among those that are wanted, its three colours one after the other, the
// length of each.
using Sink = std::function<void(Int, const int*, Int)>;

class Photograph {
public:
    // `rows`: those wanted, in ascending order. `columns`: those wanted; all where there are none.
    Photograph(const Byte* file, std::size_t bytes, std::vector<Int> rows, std::vector<Int> columns, Sink sink)
        : file_(file), at_(file + 2), end_(file + bytes), wanted_(std::move(rows)), taken_(std::move(columns)),
          sink_(std::move(sink)) {}

    // Of another size than the given one, if any, nothing is decoded.
    bool decode(Int height = 0, Int width = 0) {
        expected_height_ = height, expected_width_ = width;
        if (end_ - file_ < 4 || file_[0] != 0xFF || file_[1] != 0xD8) return false;
        while (end_ - at_ >= 4 && at_[0] == 0xFF) {
            const int kind = at_[1];
            const Byte* content = at_ + 4;
            const Int length = (at_[2] << 8 | at_[3]) - 2;
            if (length < 0 || length > end_ - content) return false;
            at_ = content + length;
            if (kind == 0xDA) return scan(content, length) && order() && pixels();
            if (!segment(kind, content, length)) return false;
        }
        return false;
    }

private:
    const Byte *file_, *at_, *end_;
    std::vector<Int> wanted_, taken_;
    Sink sink_;
    Int expected_height_ = 0, expected_width_ = 0;
    Int width_ = 0, height_ = 0, interval_ = 0, columns_ = 0, rows_ = 0;  // columns and rows of units
    Int h_ = 1, v_ = 1;  // samples of the brightness for one of the colours, across and down
    std::array<std::array<std::uint16_t, 64>, 4> quantization_{};
    std::array<bool, 4> quantized_{};
    std::array<Codes, 4> differences_, numbers_;
    std::array<Plane, 3> planes_;
    std::array<Byte, 3> names_{}, table_{};
    bool jfif_ = false, other_colors_ = false;
    std::vector<Byte> bits_;    // of the scan, without what keeps them from looking like markers
    std::vector<Int> parts_;    // where its parts end

    bool segment(int kind, const Byte* content, Int length) {
        switch (kind) {
            case 0xC0: case 0xC1: return frame(content, length);
            case 0xC4: return codes(content, length);
            case 0xDB: return steps(content, length);
            case 0xDD:
                if (length == 2) interval_ = content[0] << 8 | content[1];
                return length == 2;
            case 0xE0: jfif_ = jfif_ || (length >= 5 && !std::memcmp(content, "JFIF", 5)); return true;
            case 0xEE: other_colors_ = other_colors_ || (length >= 12 && !std::memcmp(content, "Adobe", 5) && content[11] != 1);
                return true;
            default: return kind == 0xFE || (kind > 0xE0 && kind < 0xF0);
        }
    }

    bool steps(const Byte* content, Int length) {
        for (; length >= 65; content += 65, length -= 65) {
            if (content[0] > 3) return false;  // steps of 16 bits among them
            for (int k = 0; k < 64; k++) quantization_[content[0]][ZIGZAG[k]] = content[1 + k];
            quantized_[content[0]] = true;
        }
        return length == 0;
    }

    bool codes(const Byte* content, Int length) {
        while (length >= 17) {
            const int number = content[0] & 15, kind = content[0] >> 4;
            int count = 0;
            for (int k = 1; k <= 16; k++) count += content[k];
            if (number > 3 || kind > 1 || count > 256 || count > length - 17) return false;
            Codes& made = (kind ? numbers_ : differences_)[number];
            if (!made.define(content + 1, content + 17, count, kind ? END : 1)) return false;
            content += 17 + count, length -= 17 + count;
        }
        return length == 0;
    }

    bool frame(const Byte* content, Int length) {
        if (width_ || length != 15 || content[0] != 8 || content[5] != 3) return false;
        height_ = content[1] << 8 | content[2], width_ = content[3] << 8 | content[4];
        for (int k = 0; k < 3; k++) {
            const Byte* about = content + 6 + 3 * k;
            names_[k] = about[0], table_[k] = about[2];
            planes_[k].across = about[1] >> 4, planes_[k].down = about[1] & 15;
            if (table_[k] > 3 || (k && about[1] != 0x11)) return false;
        }
        h_ = planes_[0].across, v_ = planes_[0].down;
        if (expected_width_ && (width_ != expected_width_ || height_ != expected_height_)) return false;
        return width_ && height_ && ((h_ == 1 && v_ == 1) || (h_ == 2 && v_ == 1) || (h_ == 2 && v_ == 2));
    }

    bool scan(const Byte* content, Int length) {
        const bool odd = !jfif_ && (other_colors_ || (names_[0] == 'R' && names_[1] == 'G' && names_[2] == 'B'));
        if (!width_ || odd || length != 10 || content[0] != 3 || content[7] || content[8] != 63 || content[9]) return false;
        columns_ = (width_ + 8 * h_ - 1) / (8 * h_), rows_ = (height_ + 8 * v_ - 1) / (8 * v_);
        for (int k = 0; k < 3; k++) {
            Plane& plane = planes_[k];
            const int first = content[2 + 2 * k] >> 4, others = content[2 + 2 * k] & 15;
            if (content[1 + 2 * k] != names_[k] || first > 3 || others > 3) return false;
            plane.differences = &differences_[first], plane.numbers = &numbers_[others];
            plane.steps = quantization_[table_[k]].data();
            if (!plane.differences->known || !plane.numbers->known || !quantized_[table_[k]]) return false;
            plane.width = k ? (width_ + h_ - 1) / h_ : width_, plane.height = k ? (height_ + v_ - 1) / v_ : height_;
            plane.groups = (columns_ * plane.across + LANES - 1) / LANES;
            plane.coefficients.resize(plane.down * plane.groups * BLOCK);
            plane.samples.resize(2 * plane.down * plane.groups * BLOCK);
            plane.wanted.resize(rows_ * plane.down);
        }
        return (h_ == 1 || planes_[1].width > 2) && take_bits();
    }

    // Copy the scan's bits without the zeros behind each 0xFF, up to a marker that is not a restart.
    bool take_bits() {
        bits_.resize(end_ - at_ + MARGIN);
        Byte* to = bits_.data();
        while (at_ < end_) {
            const Byte* mark = static_cast<const Byte*>(std::memchr(at_, 0xFF, end_ - at_));
            if (!mark || mark + 1 >= end_) return false;
            std::memcpy(to, at_, mark - at_);
            to += mark - at_, at_ = mark + 2;
            if (mark[1] == 0) {
                *to++ = 0xFF;
                continue;
            }
            parts_.push_back(to - bits_.data());
            if (mark[1] != (0xD0 | ((parts_.size() - 1) & 7))) return mark[1] == 0xD9;
        }
        return false;
    }

    // Note the rows of samples that are wanted; false if they are not ascending, or columns are not within.
    bool order() {
        for (const Int x : taken_)
            if (x < 0 || x >= width_) return false;
        for (std::size_t k = 0; k < wanted_.size(); k++) {
            const Int y = wanted_[k];
            if (y < (k ? wanted_[k - 1] : 0) || y >= height_) return false;
            for (Plane& plane : planes_) {
                const Int v = &plane == &planes_[0] ? 1 : v_;
                for (const Int row : {y / v, other_row(plane, y, v)}) plane.wanted[row / 8] |= 1 << row % 8;
            }
        }
        return true;
    }

    static Int other_row(const Plane& plane, Int y, Int v) {
        return v == 1 ? y : std::clamp(y / 2 + (y % 2 ? 1 : -1), Int(0), plane.height - 1);
    }

    bool pixels() {
        Bits in{bits_.data()};
        Int units = 0;
        std::size_t number = 0, done = 0;
        lines_.resize(3 * (taken_.empty() ? width_ : Int(taken_.size())));
        for (Int row = 0; row < rows_; row++) {
            for (Plane& plane : planes_) std::fill(plane.coefficients.begin(), plane.coefficients.end(), Short(0));
            for (Int column = 0; column < columns_; column++, units++) {
                if (interval_ && units && units % interval_ == 0 && !restart(in, number)) return false;
                if (!unit(in, column) || in.at - bits_.data() > parts_[number] + 8) return false;
            }
            for (Plane& plane : planes_)
                if (!transform_row(plane, row)) return false;
            const Int ready = row == rows_ - 1 ? height_ : (row + 1) * 8 * v_ - (v_ - 1);
            for (; done < wanted_.size() && wanted_[done] < ready; done++) line(done);
        }
        return number + 1 == parts_.size() && is_within(in, number);
    }

    // Whether no more bits were read than the part has.
    bool is_within(const Bits& in, std::size_t number) const {
        return 8 * (in.at - bits_.data()) - in.count <= 8 * parts_[number];
    }

    bool restart(Bits& in, std::size_t& number) {
        if (!is_within(in, number) || number + 1 >= parts_.size()) return false;
        in = {bits_.data() + parts_[number++]};
        for (Plane& plane : planes_) plane.level = 0;
        return true;
    }

    bool unit(Bits& in, Int column) {
        for (Plane& plane : planes_)
            for (Int i = 0; i < plane.down; i++)
                for (Int j = 0; j < plane.across; j++) {
                    const Int block = column * plane.across + j;
                    const Int place = (i * plane.groups + block / LANES) * BLOCK + block % LANES;
                    if (!read_block(in, plane, plane.coefficients.data() + place)) return false;
                }
        return true;
    }

    static bool transform_row(Plane& plane, Int row) {
        for (Int i = 0; i < plane.down; i++) {
            const unsigned wanted = plane.wanted[row * plane.down + i];
            const Short* from = plane.coefficients.data() + i * plane.groups * BLOCK;
            Byte* to = plane.row(8 * (row * plane.down + i));
            for (Int k = 0; wanted && k < plane.groups; k++)
                if (!transform_blocks(from + k * BLOCK, plane.steps, wanted, to + k * LANES * 8, plane.stride())) return false;
        }
        return true;
    }

    void line(Int k) {
        const Int n = Int(lines_.size()) / 3, y = wanted_[k];
        int *red = lines_.data(), *green = red + n, *blue = green + n;
        for (int p = 0; p < 3; p++) {
            int* to = red + p * n;
            if (p && h_ == 2) between(planes_[p], y, to, n);
            else copy(planes_[p].row(y), to, n);
        }
        for (Int c = 0; c < n; c++) {  // ITU-R BT.601, as in JFIF 1.02, with 16 bits behind the point
            const int level = red[c], cb = green[c] - 128, cr = blue[c] - 128;
            red[c] = std::clamp(level + ((91881 * cr + 32768) >> 16), 0, 255);
            green[c] = std::clamp(level + ((-22554 * cb - 46802 * cr + 32768) >> 16), 0, 255);
            blue[c] = std::clamp(level + ((116130 * cb + 32768) >> 16), 0, 255);
        }
        sink_(k, red, n);
    }

    void copy(const Byte* row, int* to, Int n) const {
        if (taken_.empty())
            for (Int c = 0; c < n; c++) to[c] = row[c];
        else
            for (Int c = 0; c < n; c++) to[c] = row[taken_[c]];
    }

    // Colours of fewer samples than the brightness: ¾ of the nearest one and ¼ of the next, across and down.
    void between(const Plane& plane, Int y, int* to, Int n) const {
        const Byte *row = plane.row(y / v_), *other = plane.row(other_row(plane, y, v_));
        const int even = v_ == 2 ? 8 : 4, odd = v_ == 2 ? 7 : 8;
        const Int last = plane.width - 1;
        for (Int c = 0; c < n; c++) {
            const Int x = taken_.empty() ? c : taken_[c], near = x / 2, is_odd = x & 1;
            const Int far = std::clamp(near + 2 * is_odd - 1, Int(0), last);
            to[c] = (9 * row[near] + 3 * other[near] + 3 * row[far] + other[far] + (is_odd ? odd : even)) >> 4;
        }
    }

    std::vector<int> lines_;
};

static bool pick(const Picks& g) {
    auto interleave = [&](Int k, const int* line, Int) {
        Byte* to = g.out + 3 * k * g.width;
        for (Int c = 0; c < g.width; c++)
            for (int p = 0; p < 3; p++) to[3 * c + p] = Byte(line[p * g.width + c]);
    };
    return Photograph(g.file, g.bytes, {g.rows, g.rows + g.height}, {g.columns, g.columns + g.width}, interleave).decode();
}

static bool shrink(const Shrinking& g) {
    std::vector<Int> rows(g.rows.first, g.rows.first + g.rows.size);
    rows.insert(rows.end(), g.rows.second, g.rows.second + g.rows.size);
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    const Int size = g.columns.size;
    const Int *left = g.columns.first, *right = g.columns.second;
    std::vector<float> before, line, mixed;
    Int y = 0;
    auto blend = [&](Int k, const int* colors, Int n) {
        before.swap(line);
        mixed.resize(3 * n);
        line.assign(colors, colors + 3 * n);
        for (; y < g.rows.size && g.rows.second[y] == rows[k]; y++) {
            const float* above = g.rows.first[y] == rows[k] ? line.data() : before.data();
            const float weight = g.rows.weight[y];
            for (Int i = 0; i < 3 * n; i++) mixed[i] = above[i] + (line[i] - above[i]) * weight;
            float* to = g.out + 3 * size * y;
            for (Int x = 0; x < size; x++)
                for (int p = 0; p < 3; p++) {
                    const float a = mixed[p * n + left[x]], b = mixed[p * n + right[x]];
                    to[3 * x + p] = a + (b - a) * g.columns.weight[x];
                }
        }
    };
    return Photograph(g.file, g.bytes, rows, {}, blend).decode(g.height, g.width);
}

}  // namespace convia::CONVIA_ISA

namespace convia {
Photographs NAME(photographs_, CONVIA_ISA)() { return {CONVIA_ISA::pick, CONVIA_ISA::shrink}; }
}  // namespace convia
