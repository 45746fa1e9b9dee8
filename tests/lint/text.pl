#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# text - licence line, width, white space, open questions and include guards of C files and scripts.
use strict;
use warnings;

my $width = 120;    # columns, a tab to the next multiple of 8

sub columns {
	my ($line) = @_;
	my $n = 0;
	for my $c (split //, $line) {
		$n = $c eq "\t" ? ($n | 7) + 1 : $n + 1;
	}
	return $n;
}

# daemon/core/types.h -> HF_CORE_TYPES_H; headers elsewhere keep their folders.
sub guard {
	my ($path) = @_;
	$path =~ s,^daemon/,,;
	(my $name = uc $path) =~ s/[^A-Z0-9]/_/g;
	return "HF_$name";
}

for my $file (@ARGV) {
	open(my $in, '<:encoding(UTF-8)', $file) or do { print "$file:1: cannot be read: $!\n"; next };
	my @lines = <$in>;
	close $in;
	my $is_c = $file =~ /\.[ch]$/;
	my $spdx = 'SPDX-License-Identifier:';
	my $first = join '', @lines[ 0 .. ($is_c || @lines < 2 ? 0 : 1) ];
	print "$file:1: no SPDX line at the top\n" unless @lines && $first =~ /$spdx (MIT|Dual MIT\/GPL)/;
	print "$file:" . scalar(@lines) . ": no newline at the end\n" if @lines && $lines[-1] !~ /\n$/;
	if ($file =~ /\.h$/) {
		my $want = guard($file);
		print "$file:1: include guard is not $want\n" unless grep { /^#ifndef \Q$want\E$/ } @lines;
	}
	my $n = 0;
	for my $line (@lines) {
		$n++;
		chomp $line;
		print "$file:$n: white space at the end of the line\n" if $line =~ /\s$/;
		print "$file:$n: carriage return\n" if $line =~ /\r/;
		print "$file:$n: space before a tab in the indentation\n" if $line =~ /^\t* +\t/;
		print "$file:$n: indented by spaces\n" if $is_c && $line =~ /^ {8}/;
		my $w = columns($line);
		print "$file:$n: $w columns, $width allowed\n" if $w > $width;
		my $open = 'TO' . 'DO|FIX' . 'ME|XX' . 'X';
		for my $doc ($line =~ /\b([A-Z][A-Z_]+\.md)\b/g) {
			print "$file:$n: names $doc, which is not there\n" unless -e $doc || -e "docs/$doc";
		}
		print "$file:$n: open question without a number\n" if $line =~ /\b($open)\b(?!\(#\d+\))/;
	}
}
