#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# includes - the layering table of daemon/README.md, and libraries that only one place may know.
use strict;
use warnings;

# A folder may include headers of its own and of these. "x/y.h" allows that one header.
my %may = (
	base => [],
	codec => [qw(base)],
	core => [qw(base codec)],
	format => [qw(base codec core)],
	io => [qw(base)],
	store => [qw(base codec core format io)],
	engine => [qw(base codec core format io store cluster/cluster.h front/front.h)],
	cluster => [qw(base io)],
	front => [qw(base io)],
	ctl => [qw(base codec core format io store engine cluster front)],
	tools => [qw(base codec format core/types.h core/entry.h ctl/ctl_proto.h)],
);

# Libraries with one door: header pattern, then the files that may include it.
my @doors = (
	[ qr/^liburing/, qr{^daemon/io/(?:reactor_uring|uring_open)\.c$} ],
	[ qr/^isa-l/, qr{^daemon/codec/(ec|csum)\.c$} ],
	[ qr/^sqlite3/, qr{^daemon/cluster/(cluster_sqlite|sqlite_db)\.c$} ],
	[ qr/^curl/, qr{^daemon/cluster/etcd_http\.c$} ],
	[ qr/^jansson/,
		qr{^daemon/(?:format/(?:record\.c|json_read\.[ch])|cluster/etcd_proto\.c|ctl/.*|[a-z_]+\.c)$|^tools/} ],
	[ qr/^(libnbd|cmocka)/, qr{^tests/} ],
);

# What a layer that has no I/O may take from the C library.
# (stdio for snprintf; stdlib only where the process stops). tests/lint/symbols looks at what is really called.
my $pure = qr/^(stdbool|stddef|stdint|stdarg|limits|inttypes|errno|string|stdio)\.h$/;
my %sink = map { $_ => 1 } qw(daemon/base/assert.c);

for my $file (@ARGV) {
	next unless $file =~ m{^(daemon|tools|tests)/};
	my ($layer) = $file =~ m{^daemon/([a-z]+)/};
	$layer = 'tools' if $file =~ m{^tools/} && $file !~ m{^tools/bench/};
	open(my $in, '<', $file) or next;
	while (my $line = <$in>) {
		if ($line =~ /^\s*#\s*include\s*<([^>]+)>/) {
			my $lib = $1;
			for my $door (@doors) {
				next if $lib !~ $door->[0] || $file =~ $door->[1] || $file =~ m{^tests/};
				print "$file:$.: <$lib> has its place elsewhere\n";
			}
			if ($layer && $layer =~ /^(base|codec|core|format)$/ && !$sink{$file} && $lib !~ $pure) {
				my $door = grep { $lib =~ $_->[0] && $file =~ $_->[1] } @doors;
				print "$file:$.: <$lib> in a layer without I/O\n" unless $door;
			}
		}
		next unless $line =~ /^\s*#\s*include\s*"([^"]+)"/;
		my $inc = $1;
		next unless $layer;
		my ($to) = $inc =~ m{^([a-z]+)/};
		if (!defined $to) {
			print "$file:$.: \"$inc\" is not named from the root of daemon/\n" unless $layer eq 'tools';
			next;
		}
		next if $to eq $layer;
		my $ok = grep { $_ eq $to || $_ eq $inc } @{ $may{$layer} // [] };
		print "$file:$.: $layer may not include $inc\n" unless $ok;
	}
	close $in;
}
