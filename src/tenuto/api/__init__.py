"""The Python face: files of a project or of a package by their name, there and verified when you need them.

files      path, pull: a local path
load       load: what is in a file, without executing anything
progress   what a caller hears of long work
filesystem tracked files for programs that speak fsspec
"""
