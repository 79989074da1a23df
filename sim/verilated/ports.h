// The exchange port of a Verilated appliance, either way a byte stream: GMII, a byte a clock, or XGMII, eight characters a clock.
//
// Time on a wire is counted in bytes: byte `b` is on it in cycle `b / LANES`, lane `b % LANES`. Frames have their preamble here.

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

constexpr uint8_t PREAMBLE = 0x55;
constexpr uint8_t SFD = 0xD5;
constexpr unsigned PREAMBLE_BYTES = 7;
constexpr unsigned GAP = 12;  // bytes from the end of a frame to the next preamble, on average

// What the card sends in one byte time.
struct Sent {
    bool inside;  // a byte of a frame
    bool error;
    uint8_t byte;
};

template <class Top>
class GmiiPort {
  public:
    static constexpr unsigned LANES = 1;
    static constexpr unsigned TAIL = 0;  // byte times behind a frame that are still its own
    static constexpr unsigned PICOSECONDS = 8000;

    uint64_t start(uint64_t from) const { return from; }
    void started(uint64_t, uint64_t) {}

    void idle(Top& top) {
        top.rx_dv = 0;
        top.rxd = 0;
    }

    void drive(Top& top, const std::vector<uint8_t>& frame, int64_t position) {
        top.rx_dv = 1;
        top.rxd = frame[position];
    }

    bool quiet(const Top& top) const { return !top.tx_en; }
    Sent sent(const Top& top, unsigned) { return {top.tx_en != 0, top.tx_er != 0, static_cast<uint8_t>(top.txd)}; }
};

template <class Top>
class XgmiiPort {
  public:
    static constexpr unsigned LANES = 8;
    static constexpr unsigned TAIL = 1;
    static constexpr unsigned PICOSECONDS = 6400;

    // Frames start in lane 0 or 4. Up to three bytes of a gap are left out where earlier gaps were that much longer (deficit idle
    // count): so line rate is line rate.
    uint64_t start(uint64_t from) const {
        const unsigned over = from % 4;
        return over == 0 || deficit + over < 4 ? from - over : from + 4 - over;
    }
    void started(uint64_t from, uint64_t at) { deficit += static_cast<unsigned>(from - at); }

    void idle(Top& top) { drive(top, {}, 1); }

    void drive(Top& top, const std::vector<uint8_t>& frame, int64_t position) {
        const auto size = static_cast<int64_t>(frame.size());
        uint64_t data = 0;
        unsigned control = 0;
        for (unsigned lane = 0; lane < LANES; ++lane) {
            const int64_t at = position + lane;
            const bool inside = 0 < at && at < size;
            const uint8_t byte = inside ? frame[at] : size == 0 ? IDLE : at == 0 ? START : at == size ? TERMINATE : IDLE;
            data |= static_cast<uint64_t>(byte) << 8 * lane;
            control |= (inside ? 0u : 1u) << lane;
        }
        top.rxd = data;
        top.rxc = control;
    }

    bool quiet(const Top& top) const { return top.txc == 0xFF && top.txd == 0x0101010101010101u * IDLE; }

    // The start character stands in the place of the first preamble byte.
    Sent sent(const Top& top, unsigned lane) {
        const auto byte = static_cast<uint8_t>(top.txd >> 8 * lane);
        const bool control = top.txc >> lane & 1;
        if (!open) {
            open = control && byte == START;
            return {open, false, PREAMBLE};
        }
        if (!control) return {true, false, byte};
        open = byte != TERMINATE && byte != IDLE;
        return {byte != TERMINATE, true, byte};
    }

  private:
    static constexpr uint8_t IDLE = 0x07, START = 0xFB, TERMINATE = 0xFD;
    unsigned deficit = 0;
    bool open = false;
};

template <class Top>
concept HasXgmii = requires(Top& top) { top.rxc; };

template <class Top>
using ExchangePort = std::conditional_t<HasXgmii<Top>, XgmiiPort<Top>, GmiiPort<Top>>;
