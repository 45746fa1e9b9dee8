#!/bin/bash
# SPDX-License-Identifier: MIT
# xfs on a loop device over a reconnecting NBD client: a failover is a pause, every synced file intact, fsck clean.
. "$(dirname "$0")/../lib/filesystem.sh"
filesystem_story xfs
