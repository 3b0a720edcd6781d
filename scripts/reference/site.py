"""The pages about ``remotegpu.yaml``, and its JSON Schema for editors."""

from reference.marks import header
from remotegpu.site.config import annotated
from remotegpu.site.config.texts import Language

INTRODUCTIONS = {
    "en": "The whole site in one file. `remotegpu site init` writes one, `remotegpu site check` checks it.",
    "zh": "整个站点的配置文件。`remotegpu site init` 生成，`remotegpu site check` 校验。",
}


def english() -> str:
    return _page("en")


def chinese() -> str:
    return _page("zh")


def _page(language: Language) -> str:
    head = f"# remotegpu.yaml\n\n{INTRODUCTIONS[language]}\n\n"
    return header("the annotations of the site's configuration") + head + annotated.reference(language)


def schema() -> str:
    return annotated.json_schema()
