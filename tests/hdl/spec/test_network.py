"""Frame headers against scapy and against frames from the wire."""

import random

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from hdl.spec import network
from tests.support import data


def raw_mac(text):
    return bytes.fromhex(text.replace(":", ""))


def number(address):
    return int.from_bytes(bytes(int(part) for part in address.split(".")), "big")


def check(frame: bytes) -> None:
    """Compare every header of a frame with what scapy reads."""
    judge = Ether(frame)
    ours, at = network.ETHERNET.unpack(frame), network.ETHERNET.size
    assert ours == {"destination": raw_mac(judge.dst), "source": raw_mac(judge.src), "ethertype": judge.type}
    if Dot1Q in judge:
        assert judge.type == network.ETHERTYPE_VLAN
        tag = network.VLAN_TAG.unpack(frame, at)
        assert tag["control"] == judge[Dot1Q].prio << 13 | judge[Dot1Q].dei << 12 | judge[Dot1Q].vlan
        assert tag["ethertype"] == judge[Dot1Q].type
        at += network.VLAN_TAG.size
    ip = judge[IP]
    assert network.IPV4.unpack(frame, at) == {
        "version_ihl": 4 << 4 | ip.ihl,
        "dscp_ecn": ip.tos,
        "total_length": ip.len,
        "identification": ip.id,
        "flags_fragment": int(ip.flags) << 13 | ip.frag,
        "ttl": ip.ttl,
        "protocol": ip.proto,
        "header_checksum": ip.chksum,
        "source": number(ip.src),
        "destination": number(ip.dst),
    }
    at += 4 * ip.ihl
    if UDP in judge:
        udp = judge[UDP]
        expected = {"source_port": udp.sport, "destination_port": udp.dport, "length": udp.len, "checksum": udp.chksum}
        assert ip.proto == network.PROTOCOL_UDP
        assert network.UDP.unpack(frame, at) == expected
    else:
        tcp = judge[TCP]
        assert ip.proto == network.PROTOCOL_TCP
        assert network.TCP.unpack(frame, at) == {
            "source_port": tcp.sport,
            "destination_port": tcp.dport,
            "sequence": tcp.seq,
            "acknowledgment": tcp.ack,
            "offset_flags": tcp.dataofs << 12 | int(tcp.flags),
            "window": tcp.window,
            "checksum": tcp.chksum,
            "urgent": tcp.urgptr,
        }


@pytest.mark.parametrize("seed", range(50))
def test_made_frames(seed):
    source = random.Random(seed)
    pick = source.randrange
    frame = Ether(src=f"02:00:00:00:00:{pick(256):02x}", dst=f"01:00:5e:00:{pick(256):02x}:01")
    if pick(2):
        frame /= Dot1Q(prio=pick(8), vlan=pick(4096))
    ports = {"sport": pick(65536), "dport": pick(1024, 65536)}
    addresses = {"src": f"10.0.{pick(256)}.1", "dst": f"233.54.{pick(256)}.9"}
    frame /= IP(**addresses, id=pick(65536), ttl=pick(256), tos=pick(256), options=["NOP"] * (pick(2) * pick(8)))
    if pick(2):
        frame /= UDP(**ports)
    else:
        frame /= TCP(**ports, seq=pick(1 << 32), ack=pick(1 << 32), flags="PA", window=pick(65536))
    check(bytes(frame / source.randbytes(pick(100))))


@pytest.mark.parametrize("folder", [data.ITCH_WIRE, data.ITCH_TYPES, data.OUCH])
def test_real_frames(folder):
    for path in data.captures(folder):
        for frame in data.frames(path):
            check(frame)


def test_flags_are_scapys():
    flags = {"F": network.TCP_FIN, "S": network.TCP_SYN, "R": network.TCP_RST, "P": network.TCP_PSH, "A": network.TCP_ACK}
    assert {letter: int(TCP(flags=letter).flags) for letter in flags} == flags
