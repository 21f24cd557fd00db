// The bits of a JPEG file (ITU-T T.81) and the numbers that they stand for.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace convia::CONVIA_ISA {

using Byte = std::uint8_t;
using Short = std::int16_t;

constexpr int QUICK = 11;             // bits of a code, with the number behind it, that one look at a table decodes
constexpr int TOGETHER = 56 / QUICK;  // such codes that need no more bits than are known after filling up
constexpr int END = 128;              // steps of the code that ends a block: farther than any block

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

}  // namespace convia::CONVIA_ISA
