"""Without this: on Windows `import ctranslate2` finds no DLL, for it loads `*.dll` of its own folder.

That folder is listed while it runs, and no import names what is in it. (On Linux and macOS the
extension names its libraries, and PyInstaller follows.)
"""

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("ctranslate2")
# Conversion of models, and what only that imports, stays out: `ctranslate2.models` is all that runs.
excludedimports = ["ctranslate2.converters", "ctranslate2.specs"]
