"""The six protocols towards providers: how each simulator is scripted with an answer, and what it was asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from tests.app import provider
from tests.app.matrix.neutral import SIGNATURE, SPOKEN_WHOLE, Counts, Said, Told
from tests.app.provider import Provider, Reply, Step
from tests.app.simulators import anthropic, azure, bedrock, gemini, ollama, openai
from tests.router import aws_events

ANTHROPIC_KEY: Final = "sk-ant-only-for-the-provider"


class Upstream(Protocol):
    """One protocol, and its simulator."""

    model: str
    """The name that the provider knows."""
    key: str
    settings: str
    """More lines of its table in the configuration."""
    silent_on: frozenset[str]
    """Capabilities of which an answer there has nothing to tell."""
    signs: bool
    """Whether reasoning has to come back with its signature."""

    def running(self) -> AbstractContextManager[Provider]: ...

    def reply(self, said: Said, *, streams: bool) -> Reply:
        """The answer as this provider gives it."""
        ...

    def begun(self, text: str) -> Sequence[Step]:
        """A stream that has said this, and has not ended; its last step closes the body in good order."""
        ...

    def failure(self, status: int, message: str, **headers: str) -> Reply: ...

    def told(self, body: Mapping[str, Any]) -> Told:
        """What this request says."""
        ...


def halves(text: str) -> list[str]:
    """Two pieces, so that a stream has something to put together."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


# --- OpenAI, and Azure, which speaks the same ------------------------------------------------------------------


class OpenAI:
    model = "gpt-scripted"
    key = openai.KEY
    settings = ""
    silent_on: frozenset[str] = frozenset({"earlier reasoning"})
    signs = False

    def running(self) -> AbstractContextManager[Provider]:
        return openai.running_openai()

    def reply(self, said: Said, *, streams: bool) -> Reply:
        return provider.stream_reply(self._events(said)) if streams else provider.json_reply(self._body(said))

    def begun(self, text: str) -> Sequence[Step]:
        return provider.stream_reply([provider.chat_chunk({"role": "assistant", "content": text})])

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        return provider.error_reply(status, message, **headers)

    def _body(self, said: Said) -> dict[str, Any]:
        functions = [{"name": made.name, "arguments": self._written(made)} for made in said.calls]
        calls = [{"id": f"call_{at}", "type": "function", "function": each} for at, each in enumerate(functions)]
        more: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if said.thought:
            more["reasoning_content"] = said.thought
        if said.ended == "refusal":
            more["refusal"] = said.text
        if said.speech:
            more["audio"] = {"id": "audio_1", "data": SPOKEN_WHOLE, "transcript": "Yes.", "expires_at": 1}
        text = None if said.ended == "refusal" else said.text or None
        body: dict[str, Any] = provider.chat_body(text, finish=self._finish(said), **more)
        return body | {"usage": self._usage(said.counts)}

    def _events(self, said: Said) -> list[bytes]:
        body = self._body(said)
        message: dict[str, Any] = body["choices"][0]["message"]
        chunk = provider.chat_chunk
        found = [chunk({"role": "assistant", "content": ""})]
        for name in ("reasoning_content", "content", "refusal"):
            found += [chunk({name: piece}) for piece in halves(message.get(name) or "")]
        found += [chunk({"audio": {"id": "audio_1", "data": piece}}) for piece in said.speech]
        for at, call in enumerate(message.get("tool_calls", ())):
            first = {**call, "index": at, "function": {**call["function"], "arguments": ""}}
            pieces = [
                {"index": at, "function": {"arguments": piece}} for piece in halves(call["function"]["arguments"])
            ]
            found += [chunk({"tool_calls": [piece]}) for piece in (first, *pieces)]
        return [*found, chunk({}, self._finish(said)), chunk(None, usage=body["usage"]), provider.DONE]

    @staticmethod
    def _written(made: Any) -> str:
        """Some models send nothing at all where a tool takes no arguments."""
        return json.dumps(made.arguments) if made.arguments else ""

    @staticmethod
    def _finish(said: Said) -> str:
        return "tool_calls" if said.calls else {"length": "length"}.get(said.ended, "stop")

    @staticmethod
    def _usage(counts: Counts) -> dict[str, Any]:
        given = counts.fresh + counts.cached
        return {
            **provider.usage(given, counts.output),
            "prompt_tokens_details": {"cached_tokens": counts.cached, "audio_tokens": counts.heard},
            "completion_tokens_details": {"reasoning_tokens": counts.reasoning, "audio_tokens": counts.spoken},
        }

    def told(self, body: Mapping[str, Any]) -> Told:
        found = Told()
        for message in body["messages"]:
            content = message.get("content") or ""
            parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
            text = "".join(part["text"] for part in parts if part["type"] == "text")
            found.pictures += [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            heard = [part["input_audio"] for part in parts if part["type"] == "input_audio"]
            found.audio += [(each["format"], each["data"]) for each in heard]
            if message["role"] in ("system", "developer"):
                found.system += text
            elif message["role"] == "tool":
                found.results.append(text)
            elif text:
                found.turns.append((message["role"], text))
            functions = [call["function"] for call in message.get("tool_calls") or ()]
            found.calls += [(function["name"], json.loads(function["arguments"] or "{}")) for function in functions]
        found.tools = [tool["function"]["name"] for tool in body.get("tools", ())]
        found.schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        stop = body.get("stop") or []
        found.stops = [stop] if isinstance(stop, str) else stop
        found.limit = body.get("max_completion_tokens") or body.get("max_tokens")
        found.thinks = body.get("reasoning_effort") == "low"
        found.is_forced = body.get("tool_choice") == "required"
        found.is_serial = body.get("parallel_tool_calls") is False
        found.voice = body.get("audio", {}).get("voice")
        return found


class Azure(OpenAI):
    key = azure.KEY

    def running(self) -> AbstractContextManager[Provider]:
        return azure.running_azure()

    def reply(self, said: Said, *, streams: bool) -> Reply:
        return azure.streamed(self._events(said)) if streams else azure.whole(self._body(said))

    def begun(self, text: str) -> Sequence[Step]:
        return azure.streamed([provider.chat_chunk({"role": "assistant", "content": text})], ends=False)

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        return azure.failure(status, str(status), message, **headers)

    def _body(self, said: Said) -> dict[str, Any]:
        """What the filter stopped ends so; the model has not refused."""
        body = super()._body(said)
        if said.ended == "refusal":
            body["choices"][0] |= {"message": {"role": "assistant", "content": said.text}}
        return body

    @staticmethod
    def _finish(said: Said) -> str:
        return "content_filter" if said.ended == "refusal" else OpenAI._finish(said)


# --- Anthropic ---------------------------------------------------------------------------------------------------


class Anthropic:
    model = "claude-opus-4-5"
    key = ANTHROPIC_KEY
    settings = ""
    silent_on: frozenset[str] = frozenset()
    signs = True

    def running(self) -> AbstractContextManager[Provider]:
        return anthropic.running_anthropic(self.key)

    def reply(self, said: Said, *, streams: bool) -> Reply:
        blocks = [anthropic.thinking(said.thought, SIGNATURE)] if said.thought else []
        blocks += [anthropic.text(said.text)] if said.text else []
        blocks += [anthropic.tool_use(f"toolu_{at}", made.name, **made.arguments) for at, made in enumerate(said.calls)]
        stop = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}[said.ended]
        counts = said.counts
        details = {"output_tokens_details": {"thinking_tokens": counts.reasoning}} if counts.reasoning else {}
        usage = anthropic.usage(counts.fresh, counts.output, read=counts.cached, **details)
        answer = anthropic.message(*blocks, stop="tool_use" if said.calls else stop, usage=usage)
        return anthropic.reply(answer, streams=streams)

    def begun(self, text: str) -> Sequence[Step]:
        return provider.stream_reply(anthropic.events(anthropic.message(anthropic.text(text)))[:4])

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
        return anthropic.error_reply(status, kinds[status], message, **headers)

    def told(self, body: Mapping[str, Any]) -> Told:
        found = Told(system="".join(block["text"] for block in self._blocks(body.get("system", ""))))
        for message in body["messages"]:
            for block in self._blocks(message["content"]):
                match block["type"]:
                    case "text":
                        found.turns.append((message["role"], block["text"]))
                    case "tool_use":
                        found.calls.append((block["name"], block["input"]))
                    case "tool_result":
                        found.results.append("".join(part["text"] for part in self._blocks(block["content"])))
                    case "thinking":
                        found.thoughts.append((block["thinking"], block["signature"]))
                    case "image":
                        source = block["source"]
                        held = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
                        found.pictures.append(held)
        found.tools = [tool["name"] for tool in body.get("tools", ())]
        found.schema = body.get("output_config", {}).get("format", {}).get("schema")
        found.stops = body.get("stop_sequences", [])
        found.limit = body.get("max_tokens")
        found.thinks = body.get("thinking", {}).get("type") == "enabled"
        choice = body.get("tool_choice", {})
        found.is_forced = choice.get("type") == "any"
        found.is_serial = choice.get("disable_parallel_tool_use") is True
        return found

    @staticmethod
    def _blocks(content: Any) -> list[dict[str, Any]]:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content


# --- Gemini ------------------------------------------------------------------------------------------------------


class Gemini:
    model = "gemini-2.5-pro"
    key = gemini.KEY
    settings = ""
    silent_on: frozenset[str] = frozenset()
    signs = False

    def running(self) -> AbstractContextManager[Provider]:
        return gemini.running_gemini()

    def reply(self, said: Said, *, streams: bool) -> Reply:
        counts = said.counts
        usage = {
            "promptTokenCount": counts.fresh + counts.cached,
            "cachedContentTokenCount": counts.cached,
            "candidatesTokenCount": counts.output - counts.reasoning,
            "thoughtsTokenCount": counts.reasoning,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": counts.heard}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": counts.spoken}],
        }
        if said.ended == "refusal":
            feedback = {"blockReason": "SAFETY", "blockReasonMessage": said.text}
            blocked = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": counts.fresh}}
            return gemini.streamed(blocked) if streams else gemini.whole(candidates=[], **blocked)
        reason = {"stop": "STOP", "length": "MAX_TOKENS"}[said.ended]
        parts = [
            *(gemini.thought(piece) for piece in halves(said.thought)),
            *(gemini.text(piece) for piece in halves(said.text)),
            *(gemini.spoken(piece) for piece in said.speech),
            *(gemini.called(made.name, None, **made.arguments) for made in said.calls),
        ]
        if not streams:
            return gemini.whole(*parts, reason=reason, usageMetadata=usage)
        steps = [gemini.response(part, reason=None) for part in parts]
        return gemini.streamed(*steps, gemini.response(reason=reason, usageMetadata=usage))

    def begun(self, text: str) -> Sequence[Step]:
        return gemini.streamed(gemini.response(gemini.text(text), reason=None))

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED"}
        return gemini.failure(status, message, names[status], **headers)

    def told(self, body: Mapping[str, Any]) -> Told:
        found = Told(system="".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())))
        for content in body["contents"]:
            role = {"user": "user", "model": "assistant"}[content["role"]]
            for part in content["parts"]:
                match part:
                    case {"text": text, "thought": True}:
                        found.thoughts.append((text, ""))
                    case {"text": text}:
                        found.turns.append((role, text))
                    case {"functionCall": call}:
                        found.calls.append((call["name"], call["args"]))
                    case {"functionResponse": result}:
                        found.results.append(result["response"]["output"])
                    case {"inlineData": {"mimeType": str(kind), "data": data}} if kind.startswith("audio/"):
                        found.audio.append((kind.removeprefix("audio/"), data))
                    case {"inlineData": blob}:
                        found.pictures.append(f"data:{blob['mimeType']};base64,{blob['data']}")
                    case {"fileData": file}:
                        found.pictures.append(file["fileUri"])
        declared = [tool for tools in body.get("tools", ()) for tool in tools["functionDeclarations"]]
        found.tools = [tool["name"] for tool in declared]
        config = body.get("generationConfig", {})
        found.schema = config.get("responseJsonSchema")
        found.stops = config.get("stopSequences", [])
        found.limit = config.get("maxOutputTokens")
        found.thinks = config.get("thinkingConfig", {}).get("includeThoughts") is True
        if config.get("responseModalities") == ["AUDIO"]:
            found.voice = config["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"]
        found.is_forced = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "ANY"
        return found


# --- Bedrock -----------------------------------------------------------------------------------------------------


class Bedrock:
    model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    key = f"{bedrock.ACCESS_KEY}:{bedrock.SECRET}:{bedrock.TOKEN}"
    settings = f'region = "{bedrock.REGION}"'
    silent_on: frozenset[str] = frozenset({"reasoning tokens", "audio tokens"})
    signs = True

    def running(self) -> AbstractContextManager[Provider]:
        return bedrock.running_bedrock()

    def reply(self, said: Said, *, streams: bool) -> Reply:
        reasons = {"stop": "end_turn", "length": "max_tokens", "refusal": "guardrail_intervened"}
        reason = "tool_use" if said.calls else reasons[said.ended]
        counts = {
            "inputTokens": said.counts.fresh,
            "cacheReadInputTokens": said.counts.cached,
            "outputTokens": said.counts.output,
        }
        if streams:
            events = self._events(said)
            return bedrock.streamed(aws_events.start(), *events, aws_events.stop(reason), aws_events.metadata(**counts))
        signed = {"reasoningText": {"text": said.thought, "signature": SIGNATURE}}
        blocks: list[dict[str, Any]] = [{"reasoningContent": signed}] if said.thought else []
        blocks += [{"text": said.text}] if said.text else []
        blocks += [
            {"toolUse": {"toolUseId": f"call_{at}", "name": made.name, "input": made.arguments}}
            for at, made in enumerate(said.calls)
        ]
        return bedrock.whole(*blocks, reason=reason, **counts)

    def _events(self, said: Said) -> Iterator[bytes]:
        at = 0
        if said.thought:
            for piece in (*({"text": half} for half in halves(said.thought)), {"signature": SIGNATURE}):
                yield aws_events.delta({"reasoningContent": piece})
            yield aws_events.block_stop()
            at += 1
        if said.text:
            yield from (aws_events.text(half, at) for half in halves(said.text))
            yield aws_events.block_stop(at)
            at += 1
        for number, made in enumerate(said.calls):
            yield aws_events.begin_call(f"call_{number}", made.name, at)
            for half in halves(json.dumps(made.arguments)) if made.arguments else ():
                yield aws_events.delta({"toolUse": {"input": half}}, at)
            yield aws_events.block_stop(at)
            at += 1

    def begun(self, text: str) -> Sequence[Step]:
        return bedrock.streamed(aws_events.start(), aws_events.text(text))

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        names = {400: "ValidationException", 401: "UnrecognizedClientException", 429: "ThrottlingException"}
        return bedrock.failure(status, names[status], message, **headers)

    def told(self, body: Mapping[str, Any]) -> Told:
        found = Told(system="".join(block["text"] for block in body.get("system", ())))
        for message in body["messages"]:
            for block in message["content"]:
                match block:
                    case {"text": text}:
                        found.turns.append((message["role"], text))
                    case {"reasoningContent": {"reasoningText": thought}}:
                        found.thoughts.append((thought["text"], thought["signature"]))
                    case {"toolUse": use}:
                        found.calls.append((use["name"], use["input"]))
                    case {"toolResult": result}:
                        found.results.append("".join(part["text"] for part in result["content"]))
                    case {"audio": heard}:
                        found.audio.append((heard["format"], heard["source"]["bytes"]))
                    case {"image": image}:
                        found.pictures.append(f"data:image/{image['format']};base64,{image['source']['bytes']}")
        config = body.get("toolConfig", {})
        found.tools = [tool["toolSpec"]["name"] for tool in config.get("tools", ())]
        form = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
        found.schema = json.loads(form["schema"]) if form else None
        inference, more = body.get("inferenceConfig", {}), body.get("additionalModelRequestFields", {})
        found.stops = inference.get("stopSequences", [])
        found.limit = inference.get("maxTokens")
        found.thinks = more.get("thinking", {}).get("type") == "enabled"
        found.is_forced = "any" in config.get("toolChoice", {})
        found.is_serial = more.get("tool_choice", {}).get("disable_parallel_tool_use") is True
        return found


# --- Ollama ------------------------------------------------------------------------------------------------------


class Ollama:
    model = ollama.MODEL
    key = ollama.KEY
    settings = ""
    silent_on: frozenset[str] = frozenset({"refusal or filter", "cached tokens", "reasoning tokens"})
    signs = False

    def running(self) -> AbstractContextManager[Provider]:
        return ollama.running_ollama()

    def reply(self, said: Said, *, streams: bool) -> Reply:
        calls = [ollama.called(made.name, **made.arguments) for made in said.calls]
        more: dict[str, Any] = {"tool_calls": calls} if calls else {}
        counts = {"given": said.counts.fresh, "written": said.counts.output}
        if not streams:
            thought = {"thinking": said.thought} if said.thought else {}
            return ollama.whole(said.text, self._reason(said), **counts, **more, **thought)
        steps = [ollama.step(thinking=piece) for piece in halves(said.thought)]
        steps += [ollama.step(piece) for piece in halves(said.text)]
        steps += [ollama.step(**more)] if more else []
        return ollama.streamed(*steps, ollama.last("", self._reason(said), **counts))

    @staticmethod
    def _reason(said: Said) -> str:
        """A model that refuses says so in words, and no more."""
        return "length" if said.ended == "length" else "stop"

    def begun(self, text: str) -> Sequence[Step]:
        return ollama.streamed(ollama.step(text))

    def failure(self, status: int, message: str, **headers: str) -> Reply:
        return ollama.failure(status, message, **headers)

    def told(self, body: Mapping[str, Any]) -> Told:
        found = Told()
        for message in body["messages"]:
            match message["role"]:
                case "system":
                    found.system += message["content"]
                case "tool":
                    found.results.append(message["content"])
                case role if message["content"]:
                    found.turns.append((role, message["content"]))
            found.thoughts += [(message["thinking"], "")] if message.get("thinking") else []
            functions = [call["function"] for call in message.get("tool_calls", ())]
            found.calls += [(function["name"], function["arguments"]) for function in functions]
            found.pictures += [f"data:image/png;base64,{picture}" for picture in message.get("images", ())]
        found.tools = [tool["function"]["name"] for tool in body.get("tools", ())]
        found.schema = body.get("format")
        found.stops = body.get("options", {}).get("stop", [])
        found.limit = body.get("options", {}).get("num_predict")
        found.thinks = body.get("think") in (True, "low")
        return found


UPSTREAMS: Final[Mapping[str, Upstream]] = {
    "openai": OpenAI(),
    "azure": Azure(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "bedrock": Bedrock(),
    "ollama": Ollama(),
}
