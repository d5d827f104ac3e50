"""From a typed function to a command line: the signature gives the options, the docstring their help."""

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any, Union, get_args, get_origin

Verb = Callable[..., int | None]

SHORT = {"-o": "--out"}


def run_verb(components: Verb | dict[str, Verb], words: Sequence[str], *, prog: str) -> int:
    """Parse the words of a verb and call its function.

    Options may be spelled with dashes or underscores; a switch needs no value; a list takes commas. A parameter without
    a default is a positional word; a list takes one or more of them, and one that may be None may be left out.

    Args:
        components: The function, or functions by the name of their sub-verb.
        words: What was typed after the verb.
        prog: What was typed before.

    Returns:
        The exit status: what the function returns if it is a number, else 0.
    """
    from jsonargparse import ArgumentParser

    if isinstance(components, dict):
        if not words or words[0] not in components:
            return _list_of_verbs(components, words, prog)
        return run_verb(components[words[0]], words[1:], prog=f"{prog} {words[0]}")
    function = components
    parser = ArgumentParser(prog=prog, description=_description(function))
    parser.add_argument("--config", action="config", help="A YAML file with any of these options.")
    own: set[str | int] = set()  # What jsonargparse has no word for: several positional words, or perhaps none.
    for name in _positional(function):
        kind = _annotation(function, name)
        if _is_list(kind) or _is_optional(kind):
            nargs = "+" if _is_list(kind) else "?"
            parser.add_argument(name, nargs=nargs, type=str if _is_list(kind) else kind, help=_help_of(function, name))
            own.add(name)
    parser.add_function_arguments(function, as_positional=True, skip=own, as_group=False)
    namespace = parser.instantiate_classes(parser.parse_args(spelled(words, function)))
    values = namespace.as_dict()
    values.pop("config", None)
    status = function(**values)
    return status if isinstance(status, int) else 0


def spelled(words: Sequence[str], function: Verb) -> list[str]:
    """Bring what people type into the form that the parser expects.

    Args:
        words: For example ``["a.mp4", "-o", "out", "--memory-clips", "9", "--resume", "--classes", "cat,dog"]``.
        function: Whose parameters tell switches and lists from the rest.

    Returns:
        For example ``["a.mp4", "--out=out", "--memory_clips", "9", "--resume=true", "--classes=[cat,dog]"]``.
    """
    result: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        word = SHORT.get(word, word)
        if word == "--":
            return [*result, word, *queue]
        if not word.startswith("--"):
            result.append(word)
            continue
        name, has_value, value = word[2:].partition("=")
        name = name.replace("-", "_")
        parameter = inspect.signature(function).parameters.get(name)
        kind = None if parameter is None else parameter.annotation
        if parameter is not None and not has_value:
            if kind is bool and not (queue and queue[0].lower() in ("true", "false", "yes", "no")):
                has_value, value = "=", "true"
            elif queue:
                has_value, value = "=", queue.pop(0)
        if name in _positional(function) and has_value:
            result.append(value)
            continue
        if kind is not None and _is_list(kind) and has_value and not value.startswith("["):
            value = f"[{', '.join(repr(item.strip()) for item in value.split(','))}]"
        result.append(f"--{name}{has_value}{value}")
    return result


def _positional(function: Verb) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty]


def _annotation(function: Verb, name: str) -> Any:
    return inspect.signature(function).parameters[name].annotation


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_list(member) for member in get_args(annotation))
    return annotation is list or get_origin(annotation) is list


def _is_optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _description(function: Verb) -> str:
    return (inspect.getdoc(function) or "").split("\n\nArgs:")[0].split("\n\nReturns:")[0]


def _help_of(function: Verb, name: str) -> str:
    from docstring_parser import parse

    return next(
        (entry.description or "" for entry in parse(function.__doc__ or "").params if entry.arg_name == name), ""
    )


def _list_of_verbs(components: dict[str, Verb], words: Sequence[str], prog: str) -> int:
    import sys

    width = max(map(len, components))
    lines = [f"  {name:<{width}}  {_description(verb).splitlines()[0]}" for name, verb in components.items()]
    text = "\n".join([f"usage: {prog} VERB [options]", "", *lines, "", f"`{prog} VERB --help` explains each."])
    if words and words[0] in ("-h", "--help"):
        print(text)
        return 0
    print(text if not words else f"{prog}: error: there is no '{words[0]}'.\n{text}", file=sys.stderr)
    return 2
