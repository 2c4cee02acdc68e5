#!/bin/bash
# Says which distribution this is. Takes the name from os-release, so that it is true wherever it is installed.
PRETTY_NAME=Linux
[ -r /etc/os-release ] && . /etc/os-release
echo "Welcome to $PRETTY_NAME."
echo "From git push to this machine by Anima (anima-motd @VERSION@)."
