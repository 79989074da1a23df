// The two calls that Verilator's FST writer makes of LZ4: an LZ4 block encoder that takes the latest match it finds (LZ4 block format:
// sequences of token, literals, 16-bit offset, match length; the last five bytes are literals, no match begins in the last twelve).
// With this, writing waves needs no library of the system.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) {
    return size + size / 255 + 16;
}

inline int LZ4_compress_default(const char* source, char* target, int size, int) {
    constexpr int MIN_MATCH = 4, LAST_LITERALS = 5, NO_MATCH_IN = 12, FURTHEST = 65535, HASH_BITS = 14;
    const uint8_t* in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> seen(1 << HASH_BITS, -1);
    const auto word = [in](int at) {
        uint32_t value;
        std::memcpy(&value, in + at, sizeof value);
        return value;
    };
    const auto length_rest = [&out](int rest) {  // what did not fit the token's four bits
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = static_cast<uint8_t>(rest);
    };
    const auto sequence = [&](int from, int literals, int offset, int match) {
        const int extra = match - MIN_MATCH;
        const int low = offset == 0 ? 0 : extra < 15 ? extra : 15;
        *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4 | low);
        if (literals >= 15) length_rest(literals - 15);
        if (literals != 0) std::memcpy(out, in + from, literals);
        out += literals;
        if (offset == 0) return;  // the last sequence has literals only
        *out++ = static_cast<uint8_t>(offset);
        *out++ = static_cast<uint8_t>(offset >> 8);
        if (extra >= 15) length_rest(extra - 15);
    };
    int anchor = 0, at = 0;
    while (at < size - NO_MATCH_IN) {
        const uint32_t hash = word(at) * 2654435761u >> (32 - HASH_BITS);
        const int earlier = seen[hash];
        seen[hash] = at;
        if (earlier < 0 || at - earlier > FURTHEST || word(earlier) != word(at)) {
            ++at;
            continue;
        }
        int match = MIN_MATCH;
        while (at + match < size - LAST_LITERALS && in[earlier + match] == in[at + match]) ++match;
        sequence(anchor, at - anchor, at - earlier, match);
        at += match;
        anchor = at;
    }
    sequence(anchor, size - anchor, 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
