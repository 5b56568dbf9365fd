"""Without this: on Windows `import ctranslate2` fails, for want of a DLL.

It loads all `*.dll` of its own folder, and no import names what is in it. (On Linux and macOS the
extension names its libraries, and PyInstaller follows.)
"""

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("ctranslate2")
# Conversion of models, and what only that imports, stays out.
excludedimports = ["ctranslate2.converters", "ctranslate2.specs"]
