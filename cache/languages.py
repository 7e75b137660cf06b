"""Which language a question is in, by its function words and letters. Open for a few keywords."""

from typing import Final

_PROFILES: Final = {
    language: (strong.split(), weak.split(), letters)
    for language, strong, weak, letters in (
        ("de", "und ist nicht eine einen einem mit für auf zu wird werden wie wo warum wann welche welcher welches ich wir mein meine meinen mich mir gibt bitte wenn dass"
               " auch haben habe vom aus über sind kein keine muss soll möchte einer kann können kannst zur zum bei nach der das ihr ihre sie",
               "ein im es den dem des oder nur noch bis als wird", "äöüß"),
        ("fr", "les est vous votre une dans je mon ma mes comment puis puis-je quel quelle quels quelles où pourquoi quand avec qui cette il elle nous sont être avoir mais faire"
               " est-ce peut peux j'ai c'est qu'est-ce", "le du au pour ce et la de des ne pas un sur en se si", "àèùêôîûçœë"),
        ("es", "que una para cómo puedo cuál qué dónde cuando mis está tengo hacer hay por más cuánto cuántos quiero necesito puede desde hasta mi mis usted",
               "el los las es con del como se lo de la un en y si su", "ñ¿¡"),
        ("pt", "uma como posso minha meu meus qual é onde quando quanto por que para está tenho fazer não você seu sua em são quero preciso pode esse essa isso",
               "os da dos das com o do de um no na", "ãõ"),
        ("it", "che posso come dove quando quale quali quanto mio mia miei mie gli delle della nel alla dei è ho perché cosa voglio devo può questo questa sono",
               "il di non per con la un una si in le del", "òì"),
        ("nl", "het een niet zijn voor mijn ik hoe welke wanneer waar naar heb nodig deze ook kan kunt dat wordt waarom", "wat van met op je u om bij de en in", ""),
        ("pl", "jest nie się jak ile czy mój moje moja mogę gdzie kiedy dla proszę które która który żeby przez lub", "na do w z to co po od za", "łąęśżźćń"),
        ("sv", "och är inte att jag kan hur mitt var när efter ett det från mina vilka någon", "på med en min av för den som har om till vad", "å"),
        ("da", "og ikke jeg kan hvordan mit hvad hvor når efter det fra hvilke noget bliver", "på af en min er med den til et at har de", "øæå"),
        ("no", "og ikke jeg kan hvordan mitt hva hvor når etter det fra hvilke noe blir", "på av en min er med den til et at har de", "øæå"),
        ("cs", "jak kdy kde mohu můžu proč který která můj jsem být že při lze jaké jaký prosím může mohou", "je se na do si ve", "ěřůčšžý"),
        ("tr", "için nasıl nedir nerede değil çok kaç iki bir bu var olan neden hangi mı mi mü ile ve", "ne da de", "ğşı"),
        ("fi", "miten missä kuinka voinko minun että mitä milloin onko voin mikä minä paljonko", "on ja ei", "äö"),
        ("hu", "egy hogyan és nem hol mikor mennyi van hogy lehet milyen kell", "az a", "őű"),
        ("ro", "și este nu cum pot pentru din unde când care mea meu sunt vreau", "la de un în", "ășț"),
    )
}  # fmt: skip
"""Function words and letters of each. A strong word counts two, a weak one and a letter one; words that are
English as well are left out, but for a few weak ones."""
_ENGLISH: Final = frozenset(
    "the how what when where which who why can could do does did is are was were my your i you for and of to in on with from have has it this that please"
    " there should would will an at if be not am me or about any get".split()
)
_EVIDENCE: Final = {
    sign: tuple(
        (language, 2 if sign in strong or sign in "¿¡" else 1)
        for language, (strong, weak, letters) in _PROFILES.items()
        if sign in strong or sign in weak or (len(sign) == 1 and sign in letters)
    )
    for strong_words, weak_words, own_letters in _PROFILES.values()
    for sign in (*strong_words, *weak_words, *own_letters)
    if sign not in _ENGLISH - {"in"} and sign not in ("a", "die", "come", "per", "son")
}
_ENOUGH_EVIDENCE: Final = 4
_SCRIPTS: Final = (
    (0x370, 0x3FF, "greek"), (0x400, 0x52F, "cyrillic"), (0x530, 0x58F, "armenian"), (0x590, 0x5FF, "hebrew"), (0x600, 0x77F, "arabic"),
    (0x900, 0x97F, "devanagari"), (0x980, 0xDFF, "indic"), (0xE00, 0xEFF, "thai"), (0x10A0, 0x10FF, "georgian"), (0x1200, 0x137F, "ethiopic"),
    (0x1780, 0x17FF, "khmer"), (0x1F00, 0x1FFF, "greek"), (0x3040, 0x30FF, "kana"), (0x3400, 0x9FFF, "han"), (0xAC00, 0xD7AF, "hangul"),
)  # fmt: skip


def languages(terms: frozenset[str], text: str) -> frozenset[str]:
    """The languages that the text may be in; empty if that is open, as in a few keywords."""
    scores: dict[str, int] = {}
    letters = frozenset(text) if not text.isascii() else frozenset()
    if letters and (script := _script(text)) is not None:
        return frozenset((script,))
    for sign in (terms | letters) & _EVIDENCE.keys():
        for language, weight in _EVIDENCE[sign]:
            scores[language] = scores.get(language, 0) + weight
    best = max(scores.values(), default=0)
    if best >= _ENOUGH_EVIDENCE or (best == _ENOUGH_EVIDENCE - 1 and not terms & _ENGLISH):
        return frozenset(language for language, score in scores.items() if score == best)
    return frozenset(("en",)) if len(terms & _ENGLISH) >= 2 else frozenset()


def _script(text: str) -> str | None:
    """The script of most of the letters, None if that is Latin or if there are hardly any."""
    counts: dict[str, int] = {}
    latin = 0
    for letter in text:
        point = ord(letter)
        if point < 0x370:
            latin += letter.isalpha()
            continue
        for low, high, script in _SCRIPTS:
            if low <= point <= high:
                counts[script] = counts.get(script, 0) + 1
                break
    if sum(counts.values()) < 3 or 2 * sum(counts.values()) <= latin:
        return None
    return "kana" if "kana" in counts else max(counts, key=lambda script: (counts[script], script))
