"""Compares language tags: containers write three letters (ISO 639-2, of which some languages have
two codes) or BCP 47, people write two letters (ISO 639-1)."""

from __future__ import annotations

from typing import Final

# Each of Whisper's languages: its code of two letters, then those of three.
_CODES: Final = """
af afr, am amh, ar ara, as asm, az aze, ba bak, be bel, bg bul, bn ben, bo tib bod, br bre, bs bos,
ca cat, cs cze ces, cy wel cym, da dan, de ger deu, el gre ell, en eng, es spa, et est, eu baq eus,
fa per fas, fi fin, fo fao, fr fre fra, gl glg, gu guj, ha hau, he heb, hi hin, hr hrv, ht hat,
hu hun, hy arm hye, id ind, is ice isl, it ita, ja jpn, jv jw jav, ka geo kat, kk kaz, km khm,
kn kan, ko kor, la lat, lb ltz, ln lin, lo lao, lt lit, lv lav, mg mlg, mi mao mri, mk mac mkd,
ml mal, mn mon, mr mar, ms may msa, mt mlt, my bur mya, ne nep, nl dut nld, nn nno, no nor nb nob,
oc oci, pa pan, pl pol, ps pus, pt por, ro rum ron, ru rus, sa san, sd snd, si sin, sk slo slk,
sl slv, sn sna, so som, sq alb sqi, sr srp, su sun, sv swe, sw swa, ta tam, te tel, tg tgk, th tha,
tk tuk, tl tgl fil, tr tur, tt tat, uk ukr, ur urd, uz uzb, vi vie, yi yid, yo yor, yue,
zh chi zho cmn
"""
_LANGUAGE: Final = {
    code: codes[0]
    for codes in (group.split() for group in _CODES.replace("\n", " ").split(","))
    for code in codes
}


def same_language(one: str, other: str) -> bool:
    """Whether two tags name the same language, whatever their region or script."""
    return _primary(one) == _primary(other)


def _primary(tag: str) -> str:
    code = tag.strip().lower().replace("_", "-").partition("-")[0]
    return _LANGUAGE.get(code, code)
