"""The worker under Wine: what of Windows can be tried on Linux.

A Debian 13 of its own holds Wine 10 and the real CPython for Windows with the locked wheels for
Windows; in it run the conformance vectors, the tests and the freezing. Wine is not Windows: what
passes here shows that the code for Windows runs, not that Windows does as Wine does.
"""
