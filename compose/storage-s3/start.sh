#!/bin/sh
# A bucket is a folder. Clients find the keys in the environment, rclone takes them as one argument.
set -eu
for bucket in ${S3_BUCKETS:-files}; do mkdir -p "/data/$bucket"; done
exec rclone serve s3 /data --addr 0.0.0.0:9000 --auth-key "$S3_ACCESS_KEY_ID,$S3_SECRET_ACCESS_KEY" --vfs-cache-mode full --cache-dir /tmp/rclone --no-checksum --dir-cache-time 1s
