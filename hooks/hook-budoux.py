"""Without this, captions in Thai, Japanese or Chinese fail: `FileNotFoundError … models/th.json`.

The package reads its models by their paths. Only the extra `captions` brings it.
"""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("budoux", includes=["models/*.json", "*.json"])
