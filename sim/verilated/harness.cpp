// The clock loop beside the Verilated appliance: wires, control bus, event records and probes, with a C interface for `sim.card`.
//
// One turn of `Card::clock` is one cycle: inputs change and settle with the clock low, outputs are sampled, then the rising edge
// ends the cycle. Cycle 0 is the first one out of reset.

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "Vcard.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

using Port = ExchangePort<Vcard>;

constexpr unsigned SHORTEST = 60;  // bytes without the check sequence
constexpr unsigned RESET_CYCLES = 16;
constexpr unsigned LONGEST_OUT = 1 << 16;  // a frame that never ends is a fault
constexpr uint64_t NEVER = std::numeric_limits<uint64_t>::max();

constexpr std::array<uint32_t, 256> crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        table[byte] = value;
    }
    return table;
}
constexpr std::array<uint32_t, 256> CRC_TABLE = crc_table();

uint32_t crc32(const uint8_t* bytes, size_t size) {
    uint32_t value = 0xFFFFFFFF;
    for (size_t i = 0; i < size; ++i) value = value >> 8 ^ CRC_TABLE[(value ^ bytes[i]) & 0xFF];
    return ~value;
}

// A stream payload is one port or one a field, as the top level likes it: both are read.
template <class Top>
uint32_t event_data(const Top& top) {
    if constexpr (requires { top.events___05Fpayload___05Fdata; })
        return top.events___05Fpayload___05Fdata;
    else
        return static_cast<uint32_t>(top.events___05Fpayload);
}

template <class Top>
bool event_last(const Top& top) {
    if constexpr (requires { top.events___05Fpayload___05Flast; })
        return top.events___05Fpayload___05Flast;
    else
        return top.events___05Fpayload >> 32 & 1;
}

struct QueuedFrame {
    uint64_t at;
    uint64_t number;
    std::vector<uint8_t> wire;
};

struct Later {
    bool operator()(const QueuedFrame& a, const QueuedFrame& b) const {
        return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
};

// Mirrored by `_FRAME` and `_RECEIVED` in sim/card.py.
struct SentRecord {
    uint64_t start, wire, end;
    uint32_t size, flags;
};
enum SentFlag : uint32_t { FCS_OK = 1, MALFORMED = 2 };

struct ReceivedRecord {
    uint64_t frame, first, last;
};

enum Channel : unsigned { SENT, SENT_BYTES, EVENTS, RECEIVED, CHANNELS };
enum Stop : int { REACHED = 0, LIMIT = 1, FAULT = 2 };

class Card {
  public:
    explicit Card(const char* wave, unsigned threads) {
        context.threads(threads);
#if VM_TRACE
        context.traceEverOn(true);
#else
        (void)wave;
#endif
        top = std::make_unique<Vcard>(&context, "");
#if VM_TRACE
        if (wave != nullptr) {
            trace = std::make_unique<VerilatedFstC>();
            top->trace(trace.get(), 99);
            trace->set_time_unit("1ps");
            trace->set_time_resolution("1ps");
            trace->open(wave);
        }
#endif
        top->events___05Fready = 1;
        port.idle(*top);
        top->rst = 1;
        for (unsigned i = 0; i < RESET_CYCLES; ++i) {
            settle();
            edge();
        }
        top->rst = 0;
    }

    ~Card() {
        top->final();
#if VM_TRACE
        if (trace) trace->close();
#endif
    }

    uint64_t send(const uint8_t* data, uint32_t size, uint64_t at, int64_t fcs) {
        std::vector<uint8_t> wire(PREAMBLE_BYTES, PREAMBLE);
        wire.push_back(SFD);
        const size_t head = wire.size();
        wire.insert(wire.end(), data, data + size);
        if (size < SHORTEST) wire.resize(head + SHORTEST, 0);
        const uint32_t check = fcs >= 0 ? static_cast<uint32_t>(fcs) : crc32(wire.data() + head, wire.size() - head);
        for (int shift = 0; shift < 32; shift += 8) wire.push_back(static_cast<uint8_t>(check >> shift));
        queue.push({at > cycle ? at : cycle, next_number, std::move(wire)});
        plan();
        return next_number++;
    }

    void clock() {
        if (cycle >= wake) drive();
        settle();
        sample();
        edge();
        ++cycle;
    }

    int run(uint64_t cycles) {
        for (const uint64_t end = cycle + cycles; cycle < end;) {
            clock();
            if (!fault.empty()) return FAULT;
        }
        return LIMIT;
    }

    int run_until_idle(uint64_t limit, uint64_t quiet) {
        for (const uint64_t end = cycle + limit;;) {
            if (queue.empty() && !sending && cycle >= active + quiet) return REACHED;
            if (cycle >= end) return LIMIT;
            clock();
            if (!fault.empty()) return FAULT;
        }
    }

    int run_until_output(uint64_t limit) {
        for (const uint64_t end = cycle + limit;;) {
            if (!channels[SENT].empty() || !channels[EVENTS].empty()) return REACHED;
            if (cycle >= end) return LIMIT;
            clock();
            if (!fault.empty()) return FAULT;
        }
    }

    int write(uint32_t address, const uint32_t* words, uint32_t count) {
        top->control___05Fwrite = 1;
        for (uint32_t i = 0; i < count; ++i) {
            top->control___05Faddress = address + i;
            top->control___05Fwrite_data = words[i];
            clock();
        }
        top->control___05Fwrite = 0;
        return fault.empty() ? REACHED : FAULT;
    }

    int read(uint32_t address, uint32_t* words, uint32_t count, uint64_t limit) {
        for (uint32_t i = 0; i < count; ++i) {
            answered = false;
            top->control___05Faddress = address + i;
            top->control___05Fread = 1;
            clock();
            top->control___05Fread = 0;
            for (const uint64_t end = cycle + limit; !answered;) {
                if (cycle >= end) return LIMIT;
                clock();
            }
            words[i] = answer;
        }
        return fault.empty() ? REACHED : FAULT;
    }

    uint64_t cycle = 0;
    std::string fault;
    std::array<std::vector<uint8_t>, CHANNELS> channels;

    uint64_t outstanding() const { return queue.size() + (sending ? 1 : 0); }

  private:
    template <class Item>
    void put(Channel channel, const Item& item) {
        const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&item);
        channels[channel].insert(channels[channel].end(), bytes, bytes + sizeof item);
    }

    void fail(const std::string& what) {
        if (fault.empty()) fault = "cycle " + std::to_string(cycle) + ": " + what;
    }

    void settle() {
        top->clk = 0;
        top->eval();
        dump(ticks * Port::PICOSECONDS + Port::PICOSECONDS / 2);
    }

    void edge() {
        top->clk = 1;
        top->eval();
        ++ticks;
        dump(ticks * Port::PICOSECONDS);
    }

    void dump(uint64_t time) {
#if VM_TRACE
        if (trace) trace->dump(time);
#else
        (void)time;
#endif
    }

    // Byte time at which the next frame may start.
    uint64_t earliest() const {
        const uint64_t at = queue.top().at * Port::LANES;
        return at > wire_free ? at : wire_free;
    }

    // When the receive wire next changes, so that idle cycles cost one comparison.
    void plan() {
        if (!sending) wake = queue.empty() ? NEVER : port.start(earliest()) / Port::LANES;
    }

    void drive() {
        if (sending && position >= static_cast<int64_t>(on_wire.wire.size() + Port::TAIL)) {
            sending = false;
            port.idle(*top);
            plan();
            if (cycle < wake) return;
        }
        if (!sending) begin();
        port.drive(*top, on_wire.wire, position);
        position += Port::LANES;
        active = cycle;
    }

    void begin() {
        const uint64_t from = earliest(), at = port.start(from);
        port.started(from, at);
        // The element is removed at once, so moving out of it is safe.
        on_wire = std::move(const_cast<QueuedFrame&>(queue.top()));
        queue.pop();
        sending = true;
        position = static_cast<int64_t>(cycle * Port::LANES - at);
        wire_free = at + on_wire.wire.size() + GAP;
    }

    void sample() {
        if (top->probe___05Frx_valid) sample_received();
        if (top->probe___05Ftx_valid) sample_start();
        else starting = false;
        if (transmitting || !port.quiet(*top)) sample_wire();
        if (top->events___05Fvalid) sample_event();
        if (top->control___05Fread_valid) {
            answered = true;
            answer = top->control___05Fread_data;
        }
    }

    void sample_received() {
        active = cycle;
        if (top->probe___05Frx_first) received = {on_wire.number, cycle, 0};
        if (top->probe___05Frx_last) {
            received.last = cycle;
            put(RECEIVED, received);
        }
    }

    // The first byte may wait for the MAC: the first cycle it is offered counts.
    void sample_start() {
        active = cycle;
        const bool first = top->probe___05Ftx_first;
        if (first && !starting) starts.push(cycle);
        starting = first;
    }

    void sample_wire() {
        for (unsigned lane = 0; lane < Port::LANES; ++lane) {
            const Sent sent = port.sent(*top, lane);
            if (sent.inside) sample_byte(sent);
            else if (transmitting) end_frame();
        }
    }

    void sample_byte(const Sent& sent) {
        active = cycle;
        if (!transmitting) {
            transmitting = true;
            out.clear();
            out_error = false;
            out_wire = cycle;
        }
        out_end = cycle;
        out_error |= sent.error;
        out.push_back(sent.byte);
        if (out.size() > LONGEST_OUT) fail("the card transmits a frame that does not end");
    }

    void end_frame() {
        transmitting = false;
        if (starts.empty()) return fail("a frame left that the transmit probe did not show");
        SentRecord record{starts.front(), out_wire, out_end, 0, 0};
        starts.pop();
        constexpr unsigned head = PREAMBLE_BYTES + 1;
        bool good = !out_error && out.size() >= head + 4 && out[PREAMBLE_BYTES] == SFD;
        for (unsigned i = 0; good && i < PREAMBLE_BYTES; ++i) good = out[i] == PREAMBLE;
        if (!good) record.flags |= MALFORMED;
        if (out.size() >= head + 4) {
            const size_t size = out.size() - head;
            record.size = static_cast<uint32_t>(size);
            uint32_t check = 0;
            for (int i = 0; i < 4; ++i) check |= static_cast<uint32_t>(out[out.size() - 4 + i]) << 8 * i;
            if (check == crc32(out.data() + head, size - 4)) record.flags |= FCS_OK;
            channels[SENT_BYTES].insert(channels[SENT_BYTES].end(), out.begin() + head, out.end());
        }
        put(SENT, record);
    }

    // Words become bytes in record order, most significant first.
    void sample_event() {
        active = cycle;
        const uint32_t word = event_data(*top);
        for (int shift = 24; shift >= 0; shift -= 8) record.push_back(static_cast<uint8_t>(word >> shift));
        const bool last = event_last(*top);
        const size_t claimed = size_t{4} * record[1];
        if (last ? record.size() != claimed : record.size() >= claimed) {
            fail("an event record claims " + std::to_string(claimed / 4) + " words and " + (last ? "ends with" : "goes on after") +
                 " word " + std::to_string(record.size() / 4));
        }
        if (last) {
            channels[EVENTS].insert(channels[EVENTS].end(), record.begin(), record.end());
            record.clear();
        }
    }

    VerilatedContext context;
    std::unique_ptr<Vcard> top;
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif
    uint64_t ticks = 0;
    uint64_t active = 0;

    std::priority_queue<QueuedFrame, std::vector<QueuedFrame>, Later> queue;
    QueuedFrame on_wire{};
    int64_t position = 0;  // of this cycle's first byte in the frame; below 0 where the frame starts in a later lane
    uint64_t next_number = 0;
    uint64_t wire_free = 0;  // byte time from which on a next frame may start
    uint64_t wake = NEVER;
    bool sending = false;
    ReceivedRecord received{};

    Port port;
    std::queue<uint64_t> starts;
    bool starting = false;
    std::vector<uint8_t> out;
    uint64_t out_wire = 0, out_end = 0;
    bool transmitting = false;
    bool out_error = false;

    std::vector<uint8_t> record;
    bool answered = false;
    uint32_t answer = 0;
};

}  // namespace

#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT void* card_open(const char* wave, uint32_t threads) { return new Card(wave, threads); }

EXPORT void card_close(void* card) { delete static_cast<Card*>(card); }

EXPORT uint64_t card_cycle(void* card) { return static_cast<Card*>(card)->cycle; }

EXPORT uint64_t card_outstanding(void* card) { return static_cast<Card*>(card)->outstanding(); }

EXPORT const char* card_fault(void* card) { return static_cast<Card*>(card)->fault.c_str(); }

EXPORT uint64_t card_send(void* card, const uint8_t* data, uint32_t size, uint64_t at, int64_t fcs) {
    return static_cast<Card*>(card)->send(data, size, at, fcs);
}

EXPORT int card_run(void* card, uint64_t cycles) { return static_cast<Card*>(card)->run(cycles); }

EXPORT int card_run_until_idle(void* card, uint64_t limit, uint64_t quiet) {
    return static_cast<Card*>(card)->run_until_idle(limit, quiet);
}

EXPORT int card_run_until_output(void* card, uint64_t limit) { return static_cast<Card*>(card)->run_until_output(limit); }

EXPORT int card_write(void* card, uint32_t address, const uint32_t* words, uint32_t count) {
    return static_cast<Card*>(card)->write(address, words, count);
}

EXPORT int card_read(void* card, uint32_t address, uint32_t* words, uint32_t count, uint64_t limit) {
    return static_cast<Card*>(card)->read(address, words, count, limit);
}

// Bytes collected on a channel; they stay until `card_drop`.
EXPORT const uint8_t* card_peek(void* card, uint32_t channel, uint64_t* size) {
    const auto& bytes = static_cast<Card*>(card)->channels[channel];
    *size = bytes.size();
    return bytes.data();
}

EXPORT void card_drop(void* card, uint32_t channel) { static_cast<Card*>(card)->channels[channel].clear(); }
}
