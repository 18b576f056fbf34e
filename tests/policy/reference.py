"""A second opinion of the policy language: naive, slow, and written from policies/README.md alone.

It takes the YAML as PyYAML reads it, parses conditions itself and shares no code with the engine, so a fault must be made
twice, in two shapes, to go unseen. It knows the part of the language that the generator in
`test_against_the_reference.py` writes, and raises on anything else.
"""

import functools
import re

RANK = ["allow", "warn", "redact", "ask", "deny"]


class CannotTellError(Exception):
    """The condition has no truth value."""


# -- conditions: text to a tree, a tree to a value ---------------------------------------------------------

TOKEN = re.compile(r"\s*(&&|\|\||[=!<>]=|[<>!().,\[\]]|'[^']*'|-?\d+\.\d+|-?\d+|[A-Za-z_]\w*)")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")


@functools.cache
def parsed(text):
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        tokens.append(found[1])
        at = found.end()
    tree = either(tokens)
    assert not tokens, tokens
    return tree


def either(tokens):
    tree = both(tokens)
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        tree = ("||", tree, both(tokens))
    return tree


def both(tokens):
    tree = compared(tokens)
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        tree = ("&&", tree, compared(tokens))
    return tree


def compared(tokens):
    tree = negated(tokens)
    if tokens and tokens[0] in COMPARISONS:
        sign = tokens.pop(0)
        tree = (sign, tree, negated(tokens))
    return tree


def negated(tokens):
    if tokens[0] == "!":
        tokens.pop(0)
        return ("!", negated(tokens))
    return reached(tokens)


def reached(tokens):
    """A value with what follows its dots: fields, `startsWith(…)`, `exists(v, …)`, `all(v, …)`."""
    tree = atom(tokens)
    while tokens[:1] == ["."]:
        tokens.pop(0)
        name = tokens.pop(0)
        if name in ("exists", "all") and tokens[0] == "(":
            tokens.pop(0)
            variable = tokens.pop(0)
            tokens.pop(0)
            tree = (name, tree, variable, either(tokens))
            tokens.pop(0)
        elif name == "startsWith":
            tree = (name, tree, parenthesised(tokens))
        else:
            tree = ("field", tree, name)
    return tree


def parenthesised(tokens):
    assert tokens.pop(0) == "("
    tree = either(tokens)
    assert tokens.pop(0) == ")"
    return tree


def atom(tokens):
    if tokens[0] == "(":
        return parenthesised(tokens)
    token = tokens.pop(0)
    if token == "[":
        items = []
        while tokens[0] != "]":
            items.append(either(tokens))
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return ("list", items)
    if token in ("has", "size"):
        return (token, parenthesised(tokens))
    if token in ("true", "false", "null"):
        return ("is", {"true": True, "false": False, "null": None}[token])
    if token[0] == "'":
        return ("is", token[1:-1])
    if re.match(r"-?\d", token):
        return ("is", float(token) if "." in token else int(token))
    return ("name", token)


def value(tree, seen):
    match tree:
        case ("is", known):
            return known
        case ("name", name):
            return seen[name]
        case ("list", items):
            return [value(item, seen) for item in items]
        case ("field", inner, name):
            return field(value(inner, seen), name)
        case ("has", ("field", inner, name)):
            return name in of_kind(value(inner, seen), dict)
        case ("size", inner):
            return len(of_kind(value(inner, seen), str, list, dict))
        case ("!", inner):
            return not truth(value(inner, seen))
        case ("startsWith", text, start):
            return of_kind(value(text, seen), str).startswith(of_kind(value(start, seen), str))
        case ("&&" | "||" as sign, left, right):
            return settled(sign == "||", [left, right], [seen, seen])
        case ("exists" | "all" as kind, inner, variable, body):
            rounds = [{**seen, variable: one} for one in of_kind(value(inner, seen), list, dict)]
            return settled(kind == "exists", [body] * len(rounds), rounds)
        case (sign, left, right):
            return relation(sign, value(left, seen), value(right, seen))
    raise AssertionError(tree)


def settled(wanted, trees, scopes):
    """`||` and `exists` want a true, `&&` and `all` a false; it outweighs errors elsewhere."""
    failed = False
    for tree, seen in zip(trees, scopes, strict=True):
        try:
            if truth(value(tree, seen)) is wanted:
                return wanted
        except CannotTellError:
            failed = True
    if failed:
        raise CannotTellError
    return not wanted


def truth(one):
    return of_kind(one, bool)


def of_kind(one, *kinds):
    if not isinstance(one, kinds):
        raise CannotTellError
    return one


def field(one, name):
    if name not in of_kind(one, dict):
        raise CannotTellError
    return one[name]


def kind(one):
    return "number" if type(one) in (int, float) else type(one).__name__


def same(one, other):
    if kind(one) != kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return one == other


def relation(sign, left, right):
    if sign in ("==", "!="):
        return same(left, right) is (sign == "==")
    if sign == "in":
        if isinstance(right, dict) and kind(left) in ("str", "number", "bool"):
            return any(same(left, key) for key in right)
        return any(same(left, one) for one in of_kind(right, list))
    if kind(left) != kind(right) or kind(left) not in ("number", "str", "bool"):
        raise CannotTellError
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


# -- policies ----------------------------------------------------------------------------------------------


def covers(glob, name):
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in glob), name, re.DOTALL) is not None


def with_includes(path, files):
    found = [path]
    for current in found:
        found += [one for one in files[current].get("include", []) if one not in found]
    return found


def verdict(files, agent, tool, args, zero=False):
    """What the call comes to: `args` None when it cannot be read, `zero` when a text in it holds a zero character."""
    policies = {path: one for path, one in files.items() if "agents" in one}
    mine = {path: one for path, one in policies.items() if any(covers(glob, agent) for glob in one["agents"])}
    if not mine:
        return outcome("deny", False)
    enforcing = [path for path, one in mine.items() if one.get("mode") != "shadow"]
    if args is None:
        return outcome("deny", False) if enforcing else outcome("allow", True, "deny")
    hits = all_hits(files, mine, enforcing, tool, args, zero)
    heaviest = max(hits, key=weight)
    if not enforcing:
        would = heaviest["effect"]
        return outcome("allow", True, None if would == "allow" else would, hits, heaviest)
    deciding = max((hit for hit in hits if hit["mode"] == "enforce"), key=weight)
    heavier = RANK.index(heaviest["effect"]) > RANK.index(deciding["effect"])
    released = deciding["effect"] in ("allow", "warn")
    return outcome(deciding["effect"], released, heaviest["effect"] if heavier else None, hits, deciding)


def outcome(effect, released, would=None, hits=(), by=None):
    return {"effect": effect, "released": released, "would": would, "hits": list(hits), "by": by}


def weight(hit):
    return RANK.index(hit["effect"]), not hit["error"], hit["rule"] != "default"


def all_hits(files, mine, enforcing, tool, args, zero):
    spoken = {}
    for path, policy in mine.items():
        for part in with_includes(path, files):
            shadow = "shadow" in (policy.get("mode"), files[part].get("mode"))
            default = files[part].get("default") or policy.get("default") or "deny"
            spoken[part, "shadow" if shadow else "enforce", default] = None
    hits = [grant(files[part], mode, default, tool) for part, mode, default in spoken if "allow" in files[part]]
    if enforcing and not any(hit["mode"] == "enforce" for hit in hits):
        hits += [refusal(files[path]["id"], "enforce", files[path].get("default", "deny"), tool) for path in enforcing]
    elif not enforcing and not hits:
        hits += [refusal(one["id"], "shadow", one.get("default", "deny"), tool) for one in mine.values()]
    for part, mode, _ in spoken:
        hits += guards(files[part], mode, tool, args, zero)
    return hits


def provider(tool):
    return next((start for start in ("openai.", "anthropic.", "google.") if tool.startswith(start)), "")


def grant(layer, mode, default, tool):
    if any(covers(glob, tool) and glob.startswith(provider(tool)) for glob in layer["allow"]):
        return {"policy": layer["id"], "rule": "allow", "effect": "allow", "mode": mode, "error": False}
    return refusal(layer["id"], mode, default, tool)


def refusal(policy, mode, default, tool):
    effect = "deny" if default == "allow" and provider(tool) else default
    return {"policy": policy, "rule": "default", "effect": effect, "mode": mode, "error": False}


def guards(layer, mode, tool, args, zero):
    for rule in layer.get("rules", []):
        if rule.get("at", "tool_call") != "tool_call" or not any(covers(glob, tool) for glob in rule.get("tools", ["*"])):
            continue
        hit, error = asked(rule, {"args": args, "vars": layer.get("vars", {})}, zero)
        ignored = error and rule.get("on_error") == "ignore" and not zero
        effect = "allow" if ignored else rule.get("effect", "deny")
        both = "shadow" if "shadow" in (mode, rule.get("mode")) else "enforce"
        if hit or error:
            yield {"policy": layer["id"], "rule": rule["id"], "effect": effect, "mode": both, "error": error}


def asked(rule, seen, zero):
    """(whether the rule has hit, whether its condition failed)."""
    if "detect" in rule and not any(finds(name, text) for name in rule["detect"] for text in texts(seen["args"])):
        return False, False
    text = rule.get("when", rule.get("require"))
    if text is None:
        return True, False
    if zero:
        return False, True
    try:
        return truth(value(parsed(text), seen)) is ("when" in rule), False
    except CannotTellError:
        return False, True


# -- what detectors find, and calls without it -------------------------------------------------------------

FORMS = {"card": r"(?<![\w.])4\d{15}(?![\w.])", "email": r"[a-z]+@[a-z]+\.[a-z]{2,}"}
"""Enough for the values that the generator writes."""


def texts(one):
    """Every text and number, the names of fields too."""
    if isinstance(one, dict):
        return [*one, *(text for inner in one.values() for text in texts(inner))]
    if isinstance(one, list):
        return [text for inner in one for text in texts(inner)]
    return [] if one is None or isinstance(one, bool) else [str(one)]


def places(name, text):
    found = [each.span() for each in re.finditer(FORMS[name], text)]
    return [(start, end) for start, end in found if name != "card" or checks(text[start:end])]


def finds(name, text):
    return bool(places(name, text))


def checks(number):
    """Luhn: from the right every second digit twice, nine taken off what is larger; ten divides the sum."""
    twice = [int(d) * (1 + at % 2) for at, d in enumerate(reversed(number))]
    return sum(n - 9 if n > 9 else n for n in twice) % 10 == 0


def without(one, names):
    """The value with names of detectors in the place of what they find; raises where that cannot be."""
    if isinstance(one, dict):
        if any(finds(name, key) for name in names for key in one):
            raise CannotTellError
        return {key: without(inner, names) for key, inner in one.items()}
    if isinstance(one, list):
        return [without(inner, names) for inner in one]
    if not isinstance(one, str):
        if any(finds(name, text) for name in names for text in texts(one)):
            raise CannotTellError
        return one
    for name in names:
        for start, end in reversed(places(name, one)):
            one = f"{one[:start]}[{name}]{one[end:]}"
    return one


def decided(files, agent, tool, args, zero=False):
    """(effect, whether it is released, the arguments that are delivered or would be)."""
    first = verdict(files, agent, tool, args, zero)
    taking = [hit for hit in first["hits"] if hit["effect"] == "redact" and hit["mode"] == "enforce"]
    if not taking or first["effect"] not in ("redact", "ask"):
        return first["effect"], first["released"], args
    rules = [(file["id"], rule) for file in files.values() for rule in file.get("rules", [])]
    by = {(hit["policy"], hit["rule"]) for hit in taking}
    names = {name for policy, rule in rules if (policy, rule["id"]) in by for name in rule["detect"]}
    try:
        left = without(args, sorted(names))
    except CannotTellError:
        return "deny", False, args
    second = verdict(files, agent, tool, left, zero)
    return ("redact" if second["released"] else second["effect"]), second["released"], left
