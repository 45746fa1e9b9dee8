#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# docs - a file that the documentation names in `backquotes` or links to exists, so that the map cannot rot.
#
# A name with a slash counts when it begins with a folder of the tree or of daemon/; "x.[ch]" means both files.
use strict;
use warnings;

sub exists_in_tree {
	my ($name, $dir) = @_;
	return map { -e $_ } grep { -e $_ } ($name, "daemon/$name", "$dir/$name");
}

for my $file (@ARGV) {
	my $dir = $file =~ m{^(.*)/} ? $1 : '.';
	open(my $in, '<', $file) or next;
	my $code = 0;
	while (my $line = <$in>) {
		$code = !$code if $line =~ /^```/;
		print "$file:$.: white space at the end of the line\n" if $line =~ /[ \t]+$/;
		next if $code;
		my @names = $line =~ /`([A-Za-z0-9_.\[\]*-]+\/[A-Za-z0-9_.\/\[\]*-]*)`/g;
		for my $name (@names) {
			next if $name =~ /\*/;
			my ($top) = $name =~ m{^([^/]+)/};
			next unless -d $top || -d "daemon/$top";
			next if $top eq 'build';
			my @want = $name =~ /^(.*)\.\[ch\]$/ ? ("$1.c", "$1.h") : ($name);
			for my $want (@want) {
				print "$file:$.: names $want, which is not there\n" unless exists_in_tree($want, $dir);
			}
		}
		for my $link ($line =~ /\]\(([^)#\s]+)[^)]*\)/g) {
			next if $link =~ /^[a-z]+:/;
			print "$file:$.: links to $link, which is not there\n" unless -e "$dir/$link";
		}
	}
	close $in;
}
