"""The Fluent Forward protocol (specification v1), both sides of it."""

from waybill.wire.forward.client import AnswerReader, is_ack, pack_message
from waybill.wire.forward.frames import FrameReader
from waybill.wire.forward.handshake import helo, is_pong, ping, pong
from waybill.wire.forward.message import Message

__all__ = [
    "AnswerReader",
    "FrameReader",
    "Message",
    "helo",
    "is_ack",
    "is_pong",
    "pack_message",
    "ping",
    "pong",
]
