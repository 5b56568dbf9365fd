"""Without this: the extension loads only where its libraries happen to lie on the system.

On Windows the package preloads `*.dll` from its own folder, which no import names.
"""

from PyInstaller.utils.hooks import collect_dynamic_libs, copy_metadata

binaries = collect_dynamic_libs("ctranslate2")
datas = copy_metadata("ctranslate2")
# Conversion of models, and what only that imports, stays out.
excludedimports = ["torch", "transformers", "ctranslate2.converters", "ctranslate2.specs"]
