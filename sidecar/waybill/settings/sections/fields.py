"""What is read of a record and what is added to it: ``fields``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from waybill.settings.sections.base import Section, Text


class FieldSettings(Section, frozen=True):
    r"""Which fields are read, as dotted paths (a dot in a key is ``\.``), and which are added."""

    message: Annotated[
        tuple[Text, ...],
        Meta(
            min_length=1,
            description="Where the message is: the first path that leads to a text wins. Blank is "
            "not text. A path with dots is found as one key, too.",
            examples=[["log", "message", "log_message", "msg", "body"]],
        ),
    ] = (
        "log",
        "message",
        "log_message",
        "msg",
        "body",
        "MESSAGE",
        "Message",
        "@message",
        "short_message",
        "full_message",
        "textPayload",
        "jsonPayload.message",
        "jsonPayload.MESSAGE",
        "jsonPayload.msg",
        "RenderedMessage",
        "@m",
        "@mt",
        "MessageTemplate",
        "event",
        "event.message",
        "Body",
        "body.stringValue",
        "body.string_value",
        "body.message",
        "body.msg",
        "log.message",
        "log.msg",
        "logMessage",
        "LogMessage",
        "eventMessage",
        "text",
        "content",
        "_raw",
        "full_log",
        "event.original",
        "properties.message",
        "properties.log",
        "logentry.message",
        "error.message",
        "err.message",
        "exception.message",
        "status.message",
        "protoPayload.status.message",
        "jsonPayload.event",
        "jsonPayload.log",
        "jsonPayload.textPayload",
        "event.log",
        "event.msg",
        "event.line",
        "message.text",
        "message.message",
        "record.message",
        "data.message",
        "_source.message",
        "result._raw",
        "object.message",
        "line",
        "log_line",
        "logLine",
        "log_text",
        "logmsg",
        "log_msg",
        "raw",
        "raw_message",
        "rawMessage",
        "raw_log",
        "formatted_message",
        "formattedMessage",
        "Description",
        "payload",
        "Nachricht",
        "nachricht",
        "Meldung",
        "meldung",
        "Meldungstext",
        "Mensaje",
        "mensaje",
        "Mensagem",
        "mensagem",
        "Messaggio",
        "messaggio",
        "Bericht",
        "bericht",
        "Melding",
        "Meddelande",
        "Komunikat",
        "Сообщение",
        "消息",
        "メッセージ",
    )
    source: Annotated[
        tuple[Text, ...],
        Meta(
            description="Where the source is, the system or service that wrote the record. Routes "
            "and rules can depend on it. Read as `message` is.",
        ),
    ] = (
        "source",
        "service",
        "service.name",
        r"kubernetes.labels.app\.kubernetes\.io/name",
        "kubernetes.container_name",
        "container_name",
        "_SYSTEMD_UNIT",
        "SYSLOG_IDENTIFIER",
        "resource.labels.container_name",
        "resource.labels.service_name",
        "log.logger",
        "SourceContext",
        "Properties.SourceContext",
        "service_name",
        "serviceName",
        "resource.service.name",
        "kubernetes.container.name",
        "appname",
        "programname",
        "ident",
        "k8s.container.name",
        r"resource.service\.name",
        r"resource.k8s\.container\.name",
        "app",
        "application",
        "logger",
        "component",
        "program",
        "Quelle",
        "host",
    )
    time: Annotated[
        tuple[Text, ...],
        Meta(
            description="Where the time of a JSON record is, for when it becomes a Forward entry "
            "or an OTLP record: an epoch (s, ms, us or ns) or a date by ISO 8601, RFC 2822 or the "
            "common log format. The first that lies in 2000 to 2099 wins.",
        ),
    ] = (
        "date",
        "timestamp",
        "@timestamp",
        "time",
        "ts",
        "@t",
        "Timestamp",
        "datetime",
        "eventTime",
        "timeUnixNano",
        "_SOURCE_REALTIME_TIMESTAMP",
        "__REALTIME_TIMESTAMP",
        "t",
        "instant",
        "timeMillis",
        "receiveTimestamp",
        "asctime",
    )
    records: Annotated[
        Text | None,
        Meta(
            description="Where records lie in JSON that wraps them: the path of an array of "
            "records, or of one. Null: what is sent are the records.",
            examples=["logs"],
        ),
    ] = None
    label: Annotated[Text, Meta(description="The field that every record gets.")] = "target_label"
    tier: Annotated[
        Text | None,
        Meta(
            description="Field for who decided: correction, rule, model, llm, pending or none. "
            "Null: no such field.",
        ),
    ] = "label_tier"
    confidence: Annotated[
        Text | None,
        Meta(description="Field for the confidence, 0 to 1. Null: no such field."),
    ] = "label_confidence"
    rule: Annotated[
        Text | None,
        Meta(
            description="Field for the id of the rule or correction, or the model's version. "
            "Null: no such field.",
        ),
    ] = "label_rule"
    reason: Annotated[
        Text | None,
        Meta(description="Field for why a record is Unclassified. Null: no such field."),
    ] = "label_reason"
    record_id: Annotated[
        Text | None,
        Meta(
            description="Field for a stable id of the record (Elasticsearch: Id_Key). Null: no "
            "such field.",
            examples=["waybill_id"],
        ),
    ] = None
    pattern: Annotated[
        Text | None,
        Meta(
            description="Field for the id of the record's pattern, as in `/v1/patterns`. It costs "
            "a few microseconds a record. Null: no such field.",
            examples=["label_pattern"],
        ),
    ] = None
    relabel: Annotated[bool, Meta(description="True: replace labels that records bring along.")] = (
        False
    )
    parse_nested: Annotated[
        bool,
        Meta(
            description="True: a message that is itself a JSON object is read with the paths "
            "above.",
        ),
    ] = False
