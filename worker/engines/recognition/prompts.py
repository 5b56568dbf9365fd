"""Fits the prompts of the decoder into its positions, before it decodes.

Whisper's decoder has 448 positions (`max_length`) for its prompt and the text of a window together.
It was trained with at most half of them, less one, as the prompt, and CTranslate2 writes at most
half of them as text. faster-whisper cuts each part of a prompt to half by itself, so that together
they may leave no position for the text, or need more than there are. Here all parts and
`maxNewTokens` share one budget:

1. `initialPrompt` and `prefix` are the caller's own text: they fit whole, or are refused.
2. `hotwords` get what that leaves. The client is told what was left out.
3. The text before a window gets what is left then; as in the package, it loses its beginning.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from protocol.values import Notice

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams

_TIMES: Final = 1501
"""Tokens for times, which every Whisper model has at the end of its vocabulary."""
_QUOTED: Final = 40
"""Characters of a text that a message quotes."""
_UP_TO_A_WORD: Final = re.compile(r".*(?=[\s,;，、；])", re.DOTALL)


class PromptBudget:
    """The budget of one request. Raises `RpcError` of kind invalid_params for what cannot fit.

    Shortens the request's `hotwords` to what fits. Options named in `ignored` count as not given.
    """

    def __init__(
        self, model: Any, request: TranscribeParams, ignored: Collection[str | None]
    ) -> None:
        self._tokenizer = model.hf_tokenizer
        self._first_time: int = self._tokenizer.token_to_id("<|notimestamps|>") + 1
        self.notices: list[Notice] = []
        initial = None if "initialPrompt" in ignored else request.initial_prompt
        prefix = None if "prefix" in ignored else request.prefix
        wanted = 0 if "maxNewTokens" in ignored else request.max_new_tokens or 0
        self._check_suppressed(request.suppress_tokens or ())

        # One before the prompt; before the text its start, the language and the task, which only
        # multilingual models have, and one that says whether there are times.
        control = 5 if model.model.is_multilingual else 3
        half, room = model.max_length // 2, model.max_length - control
        if wanted > room:
            text = f"maxNewTokens is {wanted}"
            raise _too_long("maxNewTokens", text, room, "Omit it: a text ends by itself.")
        self._most = min(half - 1, room - wanted)
        """Tokens that all prompts may have together."""
        own = self._own_tokens("initialPrompt", initial)
        self._prefix = self._own_tokens("prefix", prefix)
        remedy = "Shorten it, or set a smaller maxNewTokens." if wanted else "Shorten it."
        # Prefix and text are timed as one sequence, control tokens included.
        longest = {"initialPrompt": self._most, "prefix": min(self._most, half - control)}
        for name, count in (("initialPrompt", own), ("prefix", self._prefix)):
            if count > longest[name]:
                raise _too_long(name, f"{name} has {count} tokens", longest[name], remedy)
        if own + self._prefix > self._most:
            text = f"initialPrompt and prefix have {own + self._prefix} tokens together"
            raise _too_long("prefix", text, self._most, remedy)
        self._hotwords = 0
        if request.hotwords and request.hotwords.strip():
            request.hotwords = self._fitting(request.hotwords, self._most - own)
        if request.hotwords:
            self._hotwords = len(self._encode(request.hotwords))

    def bound(self, model: Any) -> Any:
        """A copy of faster-whisper's `model` whose prompts keep within the budget."""

        def get_prompt(
            tokenizer: Any,
            previous_tokens: Sequence[int],
            without_timestamps: bool = False,
            prefix: str | None = None,
            hotwords: str | None = None,
        ) -> list[int]:
            taken = self._prefix if prefix else self._hotwords if hotwords else 0
            surplus = max(0, len(previous_tokens) - (self._most - taken))
            prompt: list[int] = model.get_prompt(
                tokenizer, previous_tokens[surplus:], without_timestamps, prefix, hotwords
            )
            return prompt

        bounded = copy.copy(model)
        bounded.get_prompt = get_prompt
        return bounded

    def _own_tokens(self, name: str, given: str | Sequence[int] | None) -> int:
        """How many tokens the caller's own text or tokens are; refuse those of no text."""
        if given is None:
            return 0
        tokens = self._encode(given) if isinstance(given, str) else given
        self._check(name, tokens, indexed=not isinstance(given, str))
        return len(tokens)

    def _fitting(self, hotwords: str, most: int) -> str | None:
        """As many of the hotwords as fit into `most` tokens; None for none."""
        text = hotwords.strip()
        self._check("hotwords", self._encode(text))
        encoding = self._tokenizer.encode(f" {text}", add_special_tokens=False)
        if len(encoding.ids) <= most:
            return hotwords
        # The space before the text counts in the offsets.
        kept = text[: max(0, encoding.offsets[most - 1][1] - 1)] if most else ""
        while kept and len(self._encode(kept)) > most:  # cut within a character
            kept = kept[:-1]
        whole_words = _UP_TO_A_WORD.match(text[: len(kept) + 1])
        if whole_words and whole_words[0].strip():
            kept = whole_words[0].rstrip()
        left_out = text[len(kept) :].lstrip()
        quoted = left_out[:_QUOTED] + ("…" if len(left_out) > _QUOTED else "")
        self.notices.append(
            Notice(
                kind="prompt_shortened",
                option="hotwords",
                message=f"hotwords has {len(encoding.ids)} tokens, and the decoder has room for "
                f"{most}: its last {len(left_out)} characters were left out, {quoted!r}.",
            )
        )
        return kept or None

    def _check(self, name: str, tokens: Iterable[int], indexed: bool = False) -> None:
        """Refuse tokens that the model does not have, and those that steer the decoder."""
        end_of_text = self._tokenizer.token_to_id("<|endoftext|>")
        for index, token in enumerate(tokens):
            path = f"{name}[{index}]" if indexed else name
            if token >= self._first_time + _TIMES:
                raise _refused(path, f"{token}: the model has no such token")
            if end_of_text <= token < self._first_time:
                control = self._tokenizer.id_to_token(token)
                raise _refused(path, f"{control}, which controls the decoder and is no text")

    def _check_suppressed(self, tokens: Iterable[int]) -> None:
        """Refuse tokens that the model does not have; -1 stands for several."""
        for index, token in enumerate(tokens):
            if not -1 <= token < self._first_time + _TIMES:
                raise _refused(f"suppressTokens[{index}]", f"{token}: the model has no such token")

    def _encode(self, text: str) -> list[int]:
        """The tokens of a text, as faster-whisper prompts with it."""
        ids: list[int] = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids
        return ids


def _too_long(name: str, what: str, most: int, remedy: str) -> RpcError:
    message = f"{what}, but the decoder has room for {most}."
    return RpcError("invalid_params", message, remedy=remedy, path=f"$.{name}", limit=most)


def _refused(path: str, what: str) -> RpcError:
    return RpcError("invalid_params", f"{path} has {what}.", remedy="Omit it.", path=f"$.{path}")
