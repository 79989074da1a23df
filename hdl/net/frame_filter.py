"""Ethernet, IPv4, UDP and TCP: which frames are ours, and their payload."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import TcpHeader, beat, feed_beat, frame_signature, received_beat
from hdl.net.internet_checksum import InternetChecksum
from hdl.net.packet_hold import END
from hdl.spec import network
from hdl.spec.network import ETHERNET, IPV4, TCP, UDP, VLAN_TAG
from hdl.spec.reasons import Drop

ORDER = (
    Drop.RUNT,
    Drop.OVERSIZE,
    Drop.NOT_IPV4,
    Drop.IP_HEADER,
    Drop.IP_CHECKSUM,
    Drop.FRAGMENT,
    Drop.ADDRESS,
    Drop.PORT,
    Drop.UDP_LENGTH,
    Drop.TCP_HEADER,
    Drop.TRUNCATED,
    Drop.FCS,
    Drop.UDP_CHECKSUM,
    Drop.TCP_CHECKSUM,
    Drop.MOLD_HEADER,
)
"""Causes in the order in which the first that applies is counted: what the frame's length tells, the headers from outside in,
then what the end tells of the payload."""


class _Line:
    """A line of the feed: where it goes, and whether the frame's address (``hit``) and port (``fits``) are those."""

    def __init__(self, address: Value, port: Value) -> None:
        self.address, self.port = address, port
        self.hit, self.fits = Signal(), Signal()


class FrameFilter(wiring.Component):
    """Checks headers as they pass and gives the payload of the feed's datagrams and of the order session's segments.

    Cut-through: payload passes once every header is known to be good, the IPv4 header checksum among them; `feed_end` and
    `segment_end` then tell whether frame check sequence, length and UDP or TCP checksum were good too. Padding, trailers and the
    check sequence never pass: the IPv4 total length decides. In a frame cut short the last bytes before its end, its check
    sequence, may pass as payload; its end is never ok.

    Parameters
    ----------
    width : int
        Bytes a beat, 1 or 8.
    max_frame : int
        Bytes of the longest frame taken, check sequence included.

    Members
    -------
    frame : In(frame_signature(width))
        Frames from the MAC.
    feed_address, feed_port, feed_b_address, feed_b_port : In(32), In(16), In(32), In(16)
        Destinations of the feed's lines A and B, address 0 where there is no line B. Their MAC addresses are not looked at.
    local_mac, local_address, local_port, peer_address, peer_port : In(48), In(32), In(16), In(32), In(16)
        The order session, all of which must match.
    feed : Out(stream.Signature(feed_beat(width), always_ready=True))
        UDP payload. What is addressed to both lines is line A's.
    feed_end : Out(stream.Signature({"ok"}, always_ready=True))
        One for every frame of which a feed beat was given.
    segment : Out(stream.Signature(beat(width), always_ready=True))
        TCP payload.
    segment_header : Out(TcpHeader)
        Of the segment now given; stable from its first beat or, where it has none, its end, until the next segment of the session
        has come to its own payload.
    segment_end : Out(stream.Signature({"ok"}, always_ready=True))
        One for every segment of the session, with payload or without.
    drop : Out(len(Drop))
        Pulses by cause, exactly one for every frame not used; causes in the order of `ORDER`. A datagram without payload counts
        as `Drop.MOLD_HEADER`.
    received : Out(1)
        Pulse: a frame ended. Together with its `drop`, `feed_end` or `segment_end`.

    Latency: `latency` cycles from a payload byte's beat to the beat that holds it, 0 where ``width`` is 1. Where it is 8, a last
    beat whose bytes all come from one beat of the frame is one cycle later. Verdicts come `verdict` cycles after the frame's last
    beat.
    Overload: none, nothing here can wait.
    Counters: `drop`, `received`.
    Source: RFC 791, RFC 768, RFC 9293, IEEE 802.3 and 802.1Q; DESIGN section 4.
    """

    def __init__(self, *, width: int, max_frame: int = 1522) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if not 64 <= max_frame <= 9216:
            raise ValueError(f"max_frame: {max_frame} was given, allowed are 64 to 9216")
        self.width = width
        self.max_frame = max_frame
        end = stream.Signature(END, always_ready=True)
        payload = stream.Signature(beat(width), always_ready=True)
        super().__init__(
            {
                "frame": In(frame_signature(width)),
                "feed_address": In(32),
                "feed_port": In(16),
                "feed_b_address": In(32),
                "feed_b_port": In(16),
                "local_mac": In(48),
                "local_address": In(32),
                "local_port": In(16),
                "peer_address": In(32),
                "peer_port": In(16),
                "feed": Out(stream.Signature(feed_beat(width), always_ready=True)),
                "feed_end": Out(end),
                "segment": Out(payload),
                "segment_header": Out(TcpHeader),
                "segment_end": Out(end),
                "drop": Out(len(Drop)),
                "received": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a payload byte on `frame` to the same byte on `feed` or `segment`."""
        return 0 if self.width == 1 else 2 + InternetChecksum.LATENCY

    @property
    def verdict(self) -> int:
        """Cycles from the last beat of a frame to `received` and what goes with it."""
        return InternetChecksum.LATENCY + (2 if self.width == 1 else 6)

    @property
    def _verdict(self) -> int:
        """The same, from the last beat at the parser."""
        return self.verdict - (0 if self.width == 1 else 2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.width
        m.submodules.ip_sum = ip_sum = InternetChecksum(width=width)
        m.submodules.payload_sum = payload_sum = InternetChecksum(width=width)

        # `look` is one beat ahead of `beat` where a beat can hold both the ethertype and what it decides on.
        valid, now = Signal(), Signal(received_beat(width))
        look_valid, look = Signal(), Signal(received_beat(width))
        if width == 1:
            m.d.comb += [valid.eq(self.frame.valid), now.eq(self.frame.payload), look_valid.eq(valid), look.eq(now)]
        else:
            m.d.sync += [look_valid.eq(self.frame.valid), valid.eq(look_valid)]
            with m.If(self.frame.valid):
                m.d.sync += look.eq(self.frame.payload)
            with m.If(look_valid):
                m.d.sync += now.eq(look)
        going = valid & ~now.first
        count = Const(1) if width == 1 else now.count

        size = Signal(range(self.max_frame + width + 1))
        over, oversize = Signal(), Signal()
        m.d.comb += over.eq(oversize & ~now.first)
        grown = Mux(now.first, count, size + count)
        with m.If(valid & ~over):
            m.d.sync += [size.eq(grown), oversize.eq(grown > self.max_frame)]

        # Positions of lane 0, counted from the IPv4 header, the header behind it, and the payload. Far below zero: not known.
        reach = signed(max(self.max_frame + 64, 128).bit_length() + 1)
        far = -64
        ip, transport, payload = Signal(reach), Signal(reach, init=far), Signal(reach, init=far)
        left = Signal(signed(18))
        previous = Signal(8)
        with m.If(valid):
            m.d.sync += previous.eq(now.data[width - 1])

        def word(place: Value, offset: int) -> tuple[Value, Value]:
            """Whether the 16-bit word at `offset` behind `place` has just come, and its value."""
            if width == 1:
                return going & (place == offset + 1), Cat(now.data[0], previous)
            # Everything behind the Ethernet header lies on a multiple of four bytes from it, so two lanes are left.
            lanes = [lane for lane in range(0, width, 2) if (lane - offset - ETHERNET.size) % 4 == 0]
            at = [going & (place == offset - lane) for lane in lanes]
            values = [Cat(now.data[lane + 1], now.data[lane]) for lane in lanes]
            return at[0] | at[1], Mux(at[0], values[0], values[1])

        # Ethernet.
        tagged, ipv4 = Signal(), Signal()
        ethertype = -ETHERNET.by_name["ethertype"].size
        typed, kind = word(ip, ethertype)
        ipv4_now = typed & (kind == network.ETHERTYPE_IPV4)
        # A beat of several bytes can hold the type and what follows it.
        is_ipv4 = ipv4 if width == 1 else ipv4 | ipv4_now
        tag = Signal()
        if width == 1:
            m.d.comb += tag.eq(typed & (kind == network.ETHERTYPE_VLAN) & ~tagged)
        else:
            lane = ETHERNET.offset("ethertype") % width
            m.d.comb += tag.eq(
                (ip == -ETHERNET.size) & (Cat(look.data[lane + 1], look.data[lane]) == network.ETHERTYPE_VLAN)
            )
        begin = -ETHERNET.size + (1 if width == 1 else 0)
        with m.If(look_valid & look.first):
            m.d.sync += ip.eq(begin)
        with m.Elif(look_valid & ~over):
            m.d.sync += ip.eq(ip + width - Mux(tag, VLAN_TAG.size, 0))

        mac_ok = Signal()
        mac = [self.local_mac.word_select(5 - index, 8) for index in range(6)]
        if width == 1:
            with m.If(valid & now.first):
                m.d.sync += mac_ok.eq(now.data[0] == mac[0])
            for index in range(1, 6):
                with m.If(going & (ip == index - ETHERNET.size) & (now.data[0] != mac[index])):
                    m.d.sync += mac_ok.eq(0)
        else:
            with m.If(valid & now.first):
                m.d.sync += mac_ok.eq(Cat(*[now.data[index] == mac[index] for index in range(6)]).all())

        # IPv4.
        shaped, total, words = Signal(), Signal(16), Signal(4)
        fragment, udp, tcp = Signal(), Signal(), Signal()
        local_hit, peer_hit = Signal(), Signal()
        lines = [_Line(self.feed_address, self.feed_port), _Line(self.feed_b_address, self.feed_b_port)]
        line_b = Signal()
        m.d.sync += line_b.eq(self.feed_b_address.any())
        begun, version_ihl = word(ip, IPV4.offset("version_ihl"))
        shape_ok = (version_ihl[12:] == 4) & (version_ihl[8:12] >= IPV4.size // 4)
        sized, total_now = word(ip, IPV4.offset("total_length"))
        fragmented, fragment_now = word(ip, IPV4.offset("flags_fragment"))
        known, protocol = word(ip, IPV4.offset("protocol") - 1)

        # UDP and TCP.
        session_ports = Signal()
        length_ok, unused_sum = Signal(), Signal()
        offset_ok, placed, offset = Signal(), Signal(), Signal(4)
        header = Signal(TcpHeader)
        ported, source_port = word(transport, UDP.offset("source_port"))
        ported_too, destination_port = word(transport, UDP.offset("destination_port"))
        measured, udp_length = word(transport, UDP.offset("length"))
        summed, udp_sum = word(transport, UDP.offset("checksum"))
        offset_hit, offset_flags = word(transport, TCP.offset("offset_flags"))
        segment_length, content_length = Signal(signed(17)), Signal(signed(18))

        m.d.sync += [
            segment_length.eq(total - (words << 2)),
            content_length.eq(segment_length - (offset << 2)),
        ]
        with m.If(valid & now.first):
            m.d.sync += [
                tagged.eq(0), ipv4.eq(0), shaped.eq(0), fragment.eq(0), udp.eq(0), tcp.eq(0),
                lines[0].hit.eq(1), lines[1].hit.eq(line_b), lines[0].fits.eq(1), lines[1].fits.eq(1),
                local_hit.eq(1), peer_hit.eq(1), session_ports.eq(1),
                length_ok.eq(0), unused_sum.eq(0), offset_ok.eq(0), placed.eq(0),
                transport.eq(far), payload.eq(far), left.eq(1 << 16),
            ]  # fmt: skip
        with m.Elif(valid & ~over):
            with m.If(transport != far):
                m.d.sync += [transport.eq(transport + width), payload.eq(payload + width)]
            m.d.sync += [left.eq(left - width), tagged.eq(tagged | tag), ipv4.eq(ipv4 | ipv4_now)]
            with m.If(begun & is_ipv4 & shape_ok):
                start = ip + width - (version_ihl[8:12] << 2)
                # A datagram's payload is where UDP has it, until a TCP header says where it ends.
                m.d.sync += [transport.eq(start), payload.eq(start - UDP.size), words.eq(version_ihl[8:12]), shaped.eq(1)]
            with m.If(sized):
                m.d.sync += [left.eq(total_now - (ip + width)), total.eq(total_now)]
            with m.If(fragmented):
                m.d.sync += fragment.eq(fragment_now[:14].any())
            with m.If(known):
                m.d.sync += [udp.eq(protocol[:8] == network.PROTOCOL_UDP), tcp.eq(protocol[:8] == network.PROTOCOL_TCP)]
            for half in range(2):
                part = slice(16 * (1 - half), 16 * (2 - half))
                source_hit, source = word(ip, IPV4.offset("source") + 2 * half)
                target_hit, target = word(ip, IPV4.offset("destination") + 2 * half)
                with m.If(source_hit & (source != self.peer_address[part])):
                    m.d.sync += peer_hit.eq(0)
                with m.If(target_hit & (target != self.local_address[part])):
                    m.d.sync += local_hit.eq(0)
                for line in lines:
                    with m.If(target_hit & (target != line.address[part])):
                        m.d.sync += line.hit.eq(0)
            with m.If(ported & (source_port != self.peer_port)):
                m.d.sync += session_ports.eq(0)
            with m.If(ported_too & (destination_port != self.local_port)):
                m.d.sync += session_ports.eq(0)
            for line in lines:
                with m.If(ported_too & (destination_port != line.port)):
                    m.d.sync += line.fits.eq(0)
            with m.If(measured):
                m.d.sync += length_ok.eq((udp_length == segment_length) & (udp_length >= UDP.size))
            with m.If(summed):
                m.d.sync += unused_sum.eq(udp_sum == 0)
            with m.If(offset_hit):
                m.d.sync += [
                    placed.eq(1),
                    offset.eq(offset_flags[12:]),
                    offset_ok.eq(offset_flags[12:] >= TCP.size // 4),
                    header.flags.eq(offset_flags[:9]),
                ]
                with m.If(tcp):
                    m.d.sync += payload.eq(transport + width - (offset_flags[12:] << 2))
            for name in ("sequence", "acknowledgment"):
                for half in range(2):
                    hit, value = word(transport, TCP.offset(name) + 2 * half)
                    with m.If(hit):
                        m.d.sync += header[name][16 * (1 - half) : 16 * (2 - half)].eq(value)
            hit, value = word(transport, TCP.offset("window"))
            with m.If(hit):
                m.d.sync += header.window.eq(value)

        # Sums. The pseudo header is made of fields as they pass: addresses, protocol, and total length less header length.
        taken = valid & ~over
        pseudo = (
            *range(IPV4.offset("total_length"), IPV4.offset("identification")),
            IPV4.offset("protocol"),
            *range(IPV4.offset("source"), IPV4.size),
        )
        for lane in range(width):
            in_ip = going & ~over & (ip + lane >= 0) & (transport + lane < 0)
            wanted = in_ip & Cat(*[ip == place - lane for place in pseudo]).any()
            held = (lane < count) & (left > lane) & (transport + lane >= 0)
            m.d.comb += [
                ip_sum.take[lane].eq(in_ip),
                payload_sum.take[lane].eq(wanted | (going & ~over & held)),
            ]
        for total_sum in (ip_sum, payload_sum):
            m.d.comb += [
                total_sum.bytes.eq(now.data),
                total_sum.odd.eq(ip[0] if width == 1 else 0),
                total_sum.clear.eq(taken & now.first),
            ]
        with m.If(begun):
            m.d.comb += payload_sum.extra.eq(0xFFFF ^ (version_ihl[8:12] << 2))
        ip_done = Signal(InternetChecksum.LATENCY)
        ip_ok = Signal()
        m.d.sync += ip_done.eq(Cat(going & (transport >= -width) & (transport < 0), ip_done))
        with m.If(ip_done[-1]):
            m.d.sync += ip_ok.eq(ip_sum.ok)

        session_hit = local_hit & peer_hit & mac_ok
        sound = shaped & (segment_length >= 0) & ~fragment
        tcp_ok = offset_ok & (content_length >= 0)
        feed_hit = lines[0].hit | lines[1].hit
        feed_fits = (lines[0].hit & lines[0].fits) | (lines[1].hit & lines[1].fits)
        take_feed, take_segment, is_b = Signal(), Signal(), Signal()
        # At one byte a beat all of it is settled two bytes before the payload.
        m.d["sync" if width == 1 else "comb"] += [
            take_feed.eq(sound & udp & feed_fits & length_ok),
            take_segment.eq(sound & tcp & session_hit & session_ports & placed & tcp_ok),
            is_b.eq(~(lines[0].hit & lines[0].fits)),
        ]

        self._give(m, valid, now, going, over, count, payload, left, placed, ip_ok, take_feed, take_segment, is_b)
        given_feed, given_segment = Signal(), Signal()

        # The header of a segment is handed over between its last word and its payload.
        handing, handed = word(transport, TCP.offset("urgent"))[0], Signal()
        m.d.sync += handed.eq(handing)
        with m.If((handing if width == 1 else handed) & take_segment):
            m.d.sync += [self.segment_header.eq(header), self.segment_header.payload_length.eq(content_length)]

        # The end of a frame: what is known one clock after its last beat goes along until the sums are known.
        ended = Signal()
        ip_end, transport_end, payload_end, left_end = (Signal(signed(20), name=f"{n}_end") for n in "itpl")
        error = Signal()
        m.d.sync += [ended.eq(valid & now.last)]
        with m.If(valid):
            m.d.sync += [
                ip_end.eq(Mux(now.first, count - ETHERNET.size, ip + count)),
                transport_end.eq(transport + count),
                payload_end.eq(payload + count),
                left_end.eq(Mux(now.first, 1 << 16, left - count)),
                error.eq(now.error),
            ]

        fcs = network.FCS_BYTES
        with_header = shaped & ~fragment
        conditions: dict[Drop, Value] = {
            Drop.RUNT: (ip_end < fcs)
            | (ipv4 & (ip_end < IPV4.size + fcs))
            | (shaped & (transport_end < fcs))
            | (with_header & udp & (transport_end < UDP.size + fcs))
            | (with_header & tcp & (transport_end < TCP.size + fcs))
            | (with_header & tcp & (offset >= TCP.size // 4) & (payload_end < fcs)),
            Drop.OVERSIZE: oversize,
            Drop.NOT_IPV4: ~ipv4,
            Drop.IP_HEADER: ~shaped | (segment_length < 0),
            Drop.FRAGMENT: fragment,
            Drop.ADDRESS: ~feed_hit & ~session_hit,
            Drop.PORT: ~((udp & feed_fits) | (tcp & session_hit & session_ports)),
            Drop.UDP_LENGTH: udp & ~length_ok,
            Drop.TCP_HEADER: tcp & ~tcp_ok,
            Drop.TRUNCATED: left_end > -fcs,
            Drop.FCS: error,
            Drop.MOLD_HEADER: udp & (segment_length == UDP.size),
        }
        early = [cause for cause in ORDER if cause in conditions]
        record = data.StructLayout({"valid": 1, "tcp": 1, "unused": 1, "why": len(early)})
        records = [Signal(record, name=f"record{stage}") for stage in range(self._verdict - 2)]
        m.d.sync += [
            records[0].valid.eq(ended),
            records[0].tcp.eq(tcp),
            records[0].unused.eq(unused_sum & udp),
            records[0].why.eq(Cat(*[conditions[cause] for cause in early])),
        ]
        m.d.sync += [later.eq(sooner) for sooner, later in zip(records, records[1:], strict=False)]
        final = records[-1]
        payload_oks = Signal(self._verdict - 1 - InternetChecksum.LATENCY)
        m.d.sync += payload_oks.eq(Cat(payload_sum.ok, payload_oks))
        payload_ok = payload_oks[-1]
        why = {cause: final.why[index] for index, cause in enumerate(early)}
        why[Drop.IP_CHECKSUM] = ~ip_ok
        why[Drop.UDP_CHECKSUM] = ~final.tcp & ~final.unused & ~payload_ok
        why[Drop.TCP_CHECKSUM] = final.tcp & ~payload_ok

        m.d.sync += [self.received.eq(final.valid), self.drop.eq(0), self.feed_end.valid.eq(0), self.segment_end.valid.eq(0)]
        before: Value = Const(0)
        session = Const(0)
        for cause in ORDER:
            with m.If(final.valid & why[cause] & ~before):
                m.d.sync += self.drop[cause].eq(1)
            before = before | why[cause]
            if cause is Drop.TCP_HEADER:
                session = final.tcp & ~before
        with m.If(final.valid):
            m.d.sync += [
                self.feed_end.valid.eq(given_feed),
                self.segment_end.valid.eq(given_segment | session),
                self.feed_end.payload.ok.eq(~before),
                self.segment_end.payload.ok.eq(~before),
                given_feed.eq(0),
                given_segment.eq(0),
            ]
        with m.If(self.feed.valid):
            m.d.sync += given_feed.eq(1)
        with m.If(self.segment.valid):
            m.d.sync += given_segment.eq(1)
        return m

    def _give(
        self,
        m: Module,
        valid: Value,
        now: data.View,
        going: Value,
        over: Value,
        count: Value,
        payload: Value,
        left: Value,
        placed: Value,
        ip_ok: Value,
        take_feed: Value,
        take_segment: Value,
        is_b: Value,
    ) -> None:
        """Payload out: as it is where a beat is a byte, realigned to lane 0 where it is not."""
        out, out_valid, is_segment, line = Signal(beat(self.width)), Signal(), Signal(), Signal()
        m.d.comb += [
            *(self.feed.payload[name].eq(out[name]) for name in beat(self.width).members),
            self.feed.payload.line.eq(line),
            self.segment.payload.eq(out),
            self.feed.valid.eq(out_valid & ~is_segment),
            self.segment.valid.eq(out_valid & is_segment),
        ]
        if self.width == 1:
            passing, fresh, final, more = Signal(), Signal(), Signal(), Signal()
            # Decided one byte before the payload, which then passes through one gate.
            wanted = ip_ok & (take_feed | (placed & take_segment))
            with m.If(valid):
                m.d.sync += [fresh.eq(0), final.eq(left == 2), more.eq(left > 2)]
                with m.If(now.first | now.last | over | final):
                    m.d.sync += passing.eq(0)
                with m.Elif((payload == -1) & more & wanted):
                    m.d.sync += [passing.eq(1), fresh.eq(1), is_segment.eq(take_segment), line.eq(is_b)]
            m.d.comb += [
                out_valid.eq(going & passing & ~over),
                out.data.eq(now.data),
                out.count.eq(1),
                out.first.eq(fresh),
                out.last.eq(final),
            ]
            return

        # Beats wait until the IPv4 checksum is known; all else is known one clock after the beat.
        width = self.width
        depth = InternetChecksum.LATENCY
        late = data.StructLayout(
            {"valid": 1, "beat": received_beat(width), "start": 1, "upper": 1, "segment": 1, "line": 1, "left": signed(18)}
        )
        stages = [Signal(late, name=f"late{stage}") for stage in range(depth)]
        lanes = [ETHERNET.size % 4, ETHERNET.size % 4 + 4]
        m.d.sync += [
            stages[0].valid.eq(valid & ~over),
            stages[0].beat.eq(now),
            stages[0].start.eq(going & ((payload == -lanes[0]) | (payload == -lanes[1]))),
            stages[0].upper.eq(payload == -lanes[1]),
            stages[0].segment.eq(placed),
            stages[0].left.eq(left + payload),
        ]
        for stage in range(1, depth):
            m.d.sync += stages[stage].eq(stages[stage - 1])
            if stage == 1:
                taken = Mux(stages[0].segment, take_segment, take_feed)
                m.d.sync += [
                    stages[1].start.eq(stages[0].start & taken & (stages[0].left > 0)),
                    stages[1].segment.eq(take_segment),
                    stages[1].line.eq(is_b),
                ]
        head = stages[-1]
        held, rest, upper = Signal(data.ArrayLayout(8, width)), Signal(16), Signal()
        passing, fresh = Signal(), Signal()
        lane = Mux(upper, lanes[1], lanes[0])
        # Bytes not yet given that lie in the beat held.
        inside = width - lane
        short = rest <= inside
        arrived = head.valid & ~head.beat.first
        both = Cat(held, head.beat.data)
        window = Mux(upper, both.bit_select(8 * lanes[1], 8 * width), both.bit_select(8 * lanes[0], 8 * width))
        final = rest <= width
        needed = Mux(final, rest - inside, lane)
        m.d.comb += [
            out_valid.eq(passing & (short | (arrived & (needed <= head.beat.count)))),
            out.data.eq(window),
            out.count.eq(Mux(final, rest, width)),
            out.first.eq(fresh),
            out.last.eq(final),
        ]
        with m.If(out_valid):
            m.d.sync += [rest.eq(rest - width), fresh.eq(0), passing.eq(~final)]
        after = rest - width
        with m.If(head.valid):
            m.d.sync += held.eq(head.beat.data)
            cut = head.beat.last & (after + lane > head.beat.count)
            with m.If(head.beat.first | cut):
                m.d.sync += passing.eq(0)
        with m.If(head.valid & head.start & ip_ok):
            begin = Mux(head.upper, lanes[1], lanes[0])
            whole = ~head.beat.last | (head.left + begin <= head.beat.count)
            m.d.sync += [
                passing.eq(whole),
                fresh.eq(1),
                rest.eq(head.left),
                upper.eq(head.upper),
                is_segment.eq(head.segment),
                line.eq(head.line),
            ]
