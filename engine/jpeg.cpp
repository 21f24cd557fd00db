// Photographs (JPEG, ITU-T T.81: baseline, three colours of 8 bits, one scan), of which only some rows and columns are
// wanted, as when they are made small by taking the nearest pixels; compiled once per instruction set.
//
// The pixels are, bit by bit, those of libjpeg's and libjpeg-turbo's defaults: the accurate integer transform, "fancy"
// upsampling. All of the file is read, but transformed are only the blocks and rows that are looked at, as many blocks
// at once as there are lanes. Whatever is not ordinary, or would not be decoded to the same pixels by everybody, is left
// to others: the answer is false. So nothing here has to guess what a damaged file might have meant.
#include "jpeg.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {

using Byte = std::uint8_t;
using Short = std::int16_t;
using Int = std::int64_t;
typedef std::int32_t V __attribute__((vector_size(4 * LANES)));
typedef Short VS __attribute__((vector_size(2 * LANES)));
typedef Byte VB __attribute__((vector_size(LANES)));

constexpr int QUICK = 11;       // bits of a code, with the number behind it, that one look at a table decodes
constexpr int TOGETHER = 56 / QUICK;  // such codes that need no more bits than are known after filling up
constexpr int BLOCK = 64 * LANES;  // numbers of LANES blocks, which lie beside each other
constexpr int END = 128;        // steps of the code that ends a block: farther than any block
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

// A number of `size` bits (section F.1.2.1): the lower half of them stands for negative ones.
static inline Short signed_number(int bits, int size) {
    return Short(bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits);
}

struct Bits {
    const Byte* at;
    std::uint64_t word = 0;  // the next bits, the first one on top
    int count = 0;           // how many of them are known

    void fill() {  // to at least 56
        std::uint64_t next;
        std::memcpy(&next, at, 8);
        word |= __builtin_bswap64(next) >> count;
        at += (63 - count) >> 3;
        count |= 56;
    }
    int peek(int n) const { return int(word >> (64 - n)); }
    void drop(int n) { word <<= n, count -= n; }
};

// Huffman codes (annex C). A symbol is run << 4 | size: zeros to leave out, and bits of the number that follows.
class Codes {
public:
    struct Step { Byte bits, steps; Short value; };  // how far it goes in the block, no way: there is no such code
    bool known = false;

    // `lengths`: how many codes of 1…16 bits there are; `end`: the steps of the symbol 0. False: no such codes.
    bool define(const Byte* lengths, const Byte* named, int count, int end) {
        end_ = end;
        if (end == 1 && std::any_of(named, named + count, [](Byte symbol) { return symbol > 11; })) return false;
        symbols_.fill(0);
        std::copy(named, named + count, symbols_.begin());
        quick_.fill({});
        for (int length = 1, code = 0, place = 0; length <= 16; length++, code <<= 1) {
            first_[length] = place - code;
            for (int k = 0; k < lengths[length - 1]; k++, code++, place++) {
                if (code >= 1 << length) return false;
                if (length <= QUICK) enter(code, length, symbols_[place]);
            }
            beyond_[length] = code << (16 - length);
        }
        beyond_[17] = 1 << 16;
        return known = true;
    }

    // Read a code, and the number behind it, from at least QUICK known bits.
    Step next(Bits& in) const {
        const Step step = quick_[in.peek(QUICK)];
        if (!step.steps) return longer(in, step);
        in.drop(step.bits);
        return step;
    }

private:
    std::array<Step, 1 << QUICK> quick_;  // without steps, but with bits: the value is the symbol
    std::array<int, 18> beyond_{};        // per length, the first code that is no longer one of it, in 16 bits
    std::array<int, 17> first_{};         // per length, what to add to a code for its symbol's place
    std::array<Byte, 256> symbols_{};
    int end_ = 1;

    Byte steps(int symbol) const {
        return Byte(symbol & 15 ? (symbol >> 4) + 1 : symbol == 0 ? end_ : symbol == 0xF0 ? 16 : 0);
    }

    void enter(int code, int length, int symbol) {
        const int size = symbol & 15, rest = QUICK - length;
        for (int i = 0; i < 1 << rest; i++)
            quick_[code << rest | i] =
                size > rest ? Step{Byte(length), 0, Short(symbol)}
                            : Step{Byte(length + size), steps(symbol), size ? signed_number(i >> (rest - size), size) : Short(0)};
    }

    Step longer(Bits& in, Step step) const {
        in.fill();
        int symbol = step.value, length = step.bits;
        if (!length) {
            const int code = in.peek(16);
            for (length = 1; code >= beyond_[length];) length++;
            if (length > 16) return {};
            symbol = symbols_[(first_[length] + (code >> (16 - length))) & 255];
        }
        in.drop(length);
        const int size = symbol & 15;
        if (!size) return in.fill(), Step{0, steps(symbol), 0};
        const Short value = signed_number(in.peek(size), size);
        in.drop(size);
        in.fill();
        return {0, steps(symbol), value};
    }
};

// One of the three colours.
struct Plane {
    Int across, down;         // blocks of it that a unit of the file has
    Int width, height;        // samples
    Int groups;               // of LANES blocks in a row of blocks
    const std::uint16_t* steps;  // of quantization, row by row
    const Codes *differences, *numbers;
    int level = 0;            // the last block's first coefficient
    std::vector<Short> coefficients;  // of a row of units: (down, groups, 64, LANES)
    std::vector<Byte> samples;        // of two rows of units: (2 · down, groups, 64, LANES)
    std::vector<Byte> wanted;         // per row of blocks, a bit for each row of samples

    const Byte* row(Int y) const {  // in which column x is at place(x)
        return samples.data() + (y / 8 % (2 * down) * groups * 64 + y % 8 * 8) * LANES;
    }
    static Int place(Int x) { return (x / 8 / LANES * 64 + x % 8) * LANES + x / 8 % LANES; }
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

// LANES blocks from coefficients to the wanted rows of their samples. False: numbers that no photograph has, with which
// decoders of 16 and of 32 bits would differ.
static bool transform_blocks(const Short* from, const std::uint16_t* steps, unsigned rows, Byte* to) {
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
        for (int k = 8 * row; k < 8 * row + 8; k++) {
            V v = x[k] + 128;
            v = v < 0 ? V{} : v;
            v = v > 255 ? V{} + 255 : v;
            const VB bytes = __builtin_convertvector(v, VB);
            std::memcpy(to + k * LANES, &bytes, sizeof bytes);
        }
    }
    return true;
}

// The nearest sample of a column and the next nearest, where the colours have fewer samples than the brightness.
struct Taps {
    std::vector<Int> near, far;
    std::vector<int> round;

    Taps(const Picks& picks, const Plane& plane, Int across, bool both) {
        for (Int k = 0; k < picks.width; k++) {
            const Int x = picks.columns[k], middle = x / across;
            const Int other = across == 1 ? middle : std::clamp(middle + (x % 2 ? 1 : -1), Int(0), plane.width - 1);
            near.push_back(Plane::place(middle));
            far.push_back(Plane::place(other));
            round.push_back(both ? (x % 2 ? 7 : 8) : (x % 2 ? 8 : 4));
        }
    }
};

class Photograph {
public:
    explicit Photograph(const Picks& picks) : picks_(picks), at_(picks.file + 2), end_(picks.file + picks.bytes) {}

    bool decode() {
        if (picks_.bytes < 4 || picks_.file[0] != 0xFF || picks_.file[1] != 0xD8) return false;
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
    const Picks& picks_;
    const Byte *at_, *end_;
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
        for (Int k = 0; k < picks_.width; k++)
            if (picks_.columns[k] < 0 || picks_.columns[k] >= width_) return false;
        for (Int k = 0; k < picks_.height; k++) {
            const Int y = picks_.rows[k];
            if (y < (k ? picks_.rows[k - 1] : 0) || y >= height_) return false;
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
        const Taps whole(picks_, planes_[0], 1, false), part(picks_, planes_[1], h_, v_ == 2);
        std::vector<Int> lines[3];
        Bits in{bits_.data()};
        Int units = 0, done = 0;
        std::size_t number = 0;
        for (Int row = 0; row < rows_; row++) {
            for (Plane& plane : planes_) std::fill(plane.coefficients.begin(), plane.coefficients.end(), Short(0));
            for (Int column = 0; column < columns_; column++, units++) {
                if (interval_ && units && units % interval_ == 0 && !restart(in, number)) return false;
                if (!unit(in, column) || in.at - bits_.data() > parts_[number] + 8) return false;
            }
            for (Plane& plane : planes_)
                if (!transform_row(plane, row)) return false;
            const Int ready = row == rows_ - 1 ? height_ : (row + 1) * 8 * v_ - (v_ - 1);
            for (; done < picks_.height && picks_.rows[done] < ready; done++) line(done, whole, part);
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
            Byte* to = plane.samples.data() + (row % 2 * plane.down + i) * plane.groups * BLOCK;
            for (Int k = 0; wanted && k < plane.groups; k++)
                if (!transform_blocks(from + k * BLOCK, plane.steps, wanted, to + k * BLOCK)) return false;
        }
        return true;
    }

    // A line of the result. Colours of fewer samples count for ¾ where they are nearest, for ¼ where next nearest.
    void line(Int k, const Taps& whole, const Taps& part) {
        std::vector<int>& lines = lines_;
        const Int n = picks_.width, y = picks_.rows[k];
        lines.resize(3 * n);
        for (int p = 0; p < 3; p++) {
            const Plane& plane = planes_[p];
            int* to = lines.data() + p * n;
            if (p == 0 || h_ == 1) {
                const Byte* row = plane.row(y);
                for (Int c = 0; c < n; c++) to[c] = row[whole.near[c]];
                continue;
            }
            const Byte *row = plane.row(y / v_), *other = plane.row(other_row(plane, y, v_));
            for (Int c = 0; c < n; c++) {
                const Int near = part.near[c], far = part.far[c];
                to[c] = (9 * row[near] + 3 * other[near] + 3 * row[far] + other[far] + part.round[c]) >> 4;
            }
        }
        recolor(lines.data(), n, picks_.out + 3 * n * k);
    }
    std::vector<int> lines_;

    // ITU-R BT.601, as in JFIF 1.02, with 16 bits behind the point.
    static void recolor(int* lines, Int n, Byte* out) {
        int *red = lines, *green = lines + n, *blue = lines + 2 * n;
        for (Int c = 0; c < n; c++) {
            const int y = red[c], cb = green[c] - 128, cr = blue[c] - 128;
            red[c] = std::clamp(y + ((91881 * cr + 32768) >> 16), 0, 255);
            green[c] = std::clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16), 0, 255);
            blue[c] = std::clamp(y + ((116130 * cb + 32768) >> 16), 0, 255);
        }
        for (Int c = 0; c < n; c++) out[3 * c] = Byte(red[c]), out[3 * c + 1] = Byte(green[c]), out[3 * c + 2] = Byte(blue[c]);
    }
};

static bool pick(const Picks& picks) { return Photograph(picks).decode(); }

}  // namespace convia::CONVIA_ISA

namespace convia {
Pick NAME(pick_, CONVIA_ISA)() { return CONVIA_ISA::pick; }
}  // namespace convia
