"""Without this: `No module named 'whisperx.asr'`, then `FileNotFoundError … whisperx/assets/…`.

The package imports its modules lazily, by name, and reads its mel filters and the checkpoint of its
speech detection by path.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

hiddenimports = collect_submodules("whisperx")
datas = collect_data_files("whisperx", includes=["assets/*"])
