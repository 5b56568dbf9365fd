"""Without this, `import ctranslate2` fails on Windows because a DLL is missing.

The package loads every `*.dll` in its own folder, and no import names them. (On Linux and macOS the
extension names its libraries, so PyInstaller finds them.)
"""

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("ctranslate2")
# The worker does not convert models, so exclude the converters and their imports.
excludedimports = ["ctranslate2.converters", "ctranslate2.specs"]
