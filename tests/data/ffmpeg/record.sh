#!/bin/sh
# Record what FFmpeg prints on standard error: record.sh FFMPEG NAME
# writes NAME-<case>.txt beside this script. See README.md.
set -u
ffmpeg=$1 name=$2
folder=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
video="-f lavfi -re -i testsrc=size=320x180:rate=25:duration=2"
audio="-f lavfi -re -i sine=frequency=440:sample_rate=44100:duration=2"
x264="-c:v libx264 -preset ultrafast -pix_fmt yuv420p"

# The run itself, its banner's long configuration line cut short, its "[x @ 0x...]" kept.
record() {
    case=$1
    shift
    "$ffmpeg" -nostdin "$@" 2>&1 >/dev/null |
        sed 's/^\(.*configuration:\) .*/\1 --enable-gpl --enable-libx264/' \
            >"$folder/$name-$case.txt"
}

printf '1\n00:00:00,000 --> 00:00:01,500\nHello\n' >de.srt
printf '1\n00:00:00,000 --> 00:00:01,500\nHello\n' >fr.srt
"$ffmpeg" -nostdin -v error -f lavfi -i testsrc=size=320x180:rate=25:duration=2 \
    -f lavfi -i sine=duration=2 -f lavfi -i sine=880:duration=2 -i de.srt -i fr.srt \
    -map 0 -map 1 -map 2 -map 3 -map 4 $x264 -c:a aac -c:s srt \
    -metadata:s:a:0 language=deu -metadata:s:a:1 language=fra \
    -metadata:s:s:0 language=deu -metadata:s:s:1 language=fra languages.mkv

# shellcheck disable=SC2086
{
    record av $video $audio $x264 -c:a aac -f flv out.flv
    record audio $audio -c:a aac -f adts out.aac
    record filter $video $video $audio -filter_complex \
        "[0:v][1:v]hstack,split[a][b];[b]scale=160:90[c]" -map "[a]" -map "[c]" \
        -map 2:a $x264 -c:a aac -y out.mp4
    record outputs $video $audio -map 0 -map 1 $x264 -c:a aac -f mpegts a.ts \
        -map 0 $x264 -s 160x90 -f null - -map 1 -c:a libopus -f ogg b.ogg
    record level -loglevel level+info $video $audio $x264 -c:a aac -f flv out2.flv
    record missing -i missing.mp4 -f null -
    record languages -re -i languages.mkv -map 0 -c copy copy.mkv
    record nostats -nostats $video $x264 -f null -
    record probe -i languages.mkv -f lavfi -i "anullsrc=channel_layout=5.1"
    record copy -re -i languages.mkv -map 0:v -map 0:a -c copy -f mpegts copy.ts
    record data -i copy.ts -f data -i de.srt -map 0:v -map 1 -c copy -f mpegts data.ts
}

# What it can do: the head of each list, and lines with both kinds of coders.
for list in version codecs encoders decoders formats protocols filters hwaccels devices; do
    "$ffmpeg" -hide_banner "-$list" 2>/dev/null |
        sed 's/^\(configuration:\) .*/\1 --enable-gpl --enable-libx264/' |
        awk 'NR <= 24 || / (h264|opus|subrip|libx264|lavfi|scale|rtmp|srt|Output:)( |$)|^Output:|^ DE[VAS].*encoders: [^)]* [^)]*\)/' |
        awk 'NR <= 60' >"$folder/$name-list-$list.txt"
done

# The blocks of -progress.
# shellcheck disable=SC2086
"$ffmpeg" -nostdin -v error -progress pipe:1 $video $video $audio -map 0 -map 1 -map 2 \
    $x264 -c:a aac -f mpegts pipe.ts >"$folder/$name-progress.txt"
