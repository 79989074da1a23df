"""Ethernet II, 802.1Q, IPv4, UDP and TCP headers, as far as the appliance reads or writes them.

Sources: IEEE 802.3-2022 clause 3, IEEE 802.1Q-2022 clause 9.6, RFC 791, RFC 768, RFC 9293.
"""

from __future__ import annotations

from hdl.spec.layout import Field, Kind, Layout

ETHERNET = Layout(
    "ethernet",
    (
        Field("destination", 6, Kind.RAW, "MAC address"),
        Field("source", 6, Kind.RAW, "MAC address"),
        Field("ethertype", 2, Kind.UINT, "protocol that follows"),
    ),
)
VLAN_TAG = Layout(
    "vlan_tag",
    (
        Field("control", 2, Kind.UINT, "priority, drop eligible, VLAN id"),
        Field("ethertype", 2, Kind.UINT, "protocol that follows"),
    ),
)
IPV4 = Layout(
    "ipv4",
    (
        Field("version_ihl", 1, Kind.UINT, "version 4 and header length in 32-bit words"),
        Field("dscp_ecn", 1, Kind.UINT, "service class"),
        Field("total_length", 2, Kind.UINT, "bytes of header and payload"),
        Field("identification", 2, Kind.UINT, "groups fragments"),
        Field("flags_fragment", 2, Kind.UINT, "don't fragment, more fragments, offset"),
        Field("ttl", 1, Kind.UINT, "hops left"),
        Field("protocol", 1, Kind.UINT, "17 UDP, 6 TCP"),
        Field("header_checksum", 2, Kind.UINT, "one's complement sum over the header"),
        Field("source", 4, Kind.UINT, "address"),
        Field("destination", 4, Kind.UINT, "address"),
    ),
)
UDP = Layout(
    "udp",
    (
        Field("source_port", 2, Kind.UINT, "port"),
        Field("destination_port", 2, Kind.UINT, "port"),
        Field("length", 2, Kind.UINT, "bytes of header and payload"),
        Field("checksum", 2, Kind.UINT, "one's complement sum with pseudo header, 0 where unused"),
    ),
)
TCP = Layout(
    "tcp",
    (
        Field("source_port", 2, Kind.UINT, "port"),
        Field("destination_port", 2, Kind.UINT, "port"),
        Field("sequence", 4, Kind.UINT, "number of the first payload byte"),
        Field("acknowledgment", 4, Kind.UINT, "next byte expected"),
        Field("offset_flags", 2, Kind.UINT, "header length in 32-bit words (4 bits), flags (low 9 bits)"),
        Field("window", 2, Kind.UINT, "receive window"),
        Field("checksum", 2, Kind.UINT, "one's complement sum with pseudo header"),
        Field("urgent", 2, Kind.UINT, "urgent pointer"),
    ),
)
TCP_PSEUDO_HEADER = Layout(
    "tcp_pseudo_header",
    (
        Field("source", 4, Kind.UINT, "address"),
        Field("destination", 4, Kind.UINT, "address"),
        Field("zero", 1, Kind.UINT, "zero"),
        Field("protocol", 1, Kind.UINT, "6 TCP"),
        Field("length", 2, Kind.UINT, "bytes of TCP header and payload"),
    ),
)

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_VLAN = 0x8100
ETHERTYPE_QINQ = 0x88A8
PROTOCOL_TCP = 6
PROTOCOL_UDP = 17
TCP_FIN, TCP_SYN, TCP_RST, TCP_PSH, TCP_ACK = 0x01, 0x02, 0x04, 0x08, 0x10

FCS_BYTES = 4
MINIMUM_FRAME = 60
"""Bytes from destination address to the last byte before the frame check sequence, padding included."""
PREAMBLE = b"\x55" * 7 + b"\xd5"
INTERFRAME_GAP = 12

IPV4_VERSION_IHL = 0x45
"""Version 4, header of five words."""
IPV4_DONT_FRAGMENT = 0x4000
IPV4_TTL = 64
