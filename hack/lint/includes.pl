#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Says where C files include what they may not, by the table hack/lint/includes. Run by hack/lint.sh.
# usage: includes.pl TABLE <list of files
use strict;
use warnings;

# A shell pattern as a regular expression; '*' crosses no '/'.
sub pattern {
	my $p = join '', map { $_ eq '*' ? '[^/]*' : /^\[/ ? $_ : quotemeta } $_[0] =~ /\[[^\]]+\]|./g;
	return qr/^$p$/;
}

my (@header, @rank, @pure);
open my $table, '<', $ARGV[0] or die "$ARGV[0]: $!\n";
while (<$table>) {
	next if /^#|^\s*$/;
	my ($rule, $first, @rest) = split;
	if ($rule eq 'header') {
		my $is_system = $first =~ s/-sys$//; # in angle brackets only: we have a header of that name too
		push @header, { name => pattern($first), system => $is_system, files => [ map { pattern($_) } @rest ], text => "@rest" };
	} elsif ($rule eq 'rank') {
		push @rank, map { [ pattern($_), $first ] } @rest;
	} elsif ($rule eq 'pure') {
		push @pure, { file => pattern($first), may => { map { $_ => 1 } @rest } };
	} else {
		die "$ARGV[0]:$.: no rule '$rule'\n";
	}
}

sub rank_of {
	my ($module) = @_;
	for (@rank) { return $_->[1] if $module =~ $_->[0] }
	return undef;
}

while (my $file = <STDIN>) {
	chomp $file;
	my ($part, $module) = $file =~ m{^([^/]+)/(?:.*/)?([^/]+)\.[ch]$} or next;
	next if $part eq 'test';
	my $is_part = $part =~ /^(controller|driver-builder|device-plugin)$/;
	open my $in, '<', $file or next;
	while (<$in>) {
		my ($quote, $name) = /^\s*#\s*include\s*(["<])([^">]*)/ or next;
		my $at = "$file:$.:";
		my $is_generated = $name =~ /\.pb-c\.h$/;
		if ($quote eq '"') {
			my $is_own = -f "$part/$name";
			print "$at lib/ includes '$name', which is not of lib/\n" if $part eq 'lib' && !$is_own && !$is_generated;
			print "$at '$name' is neither of $part/ nor of lib/\n" if $is_part && !$is_own && !-f "lib/$name" && !$is_generated;
			if ($part eq 'lib') {
				my ($mine, $theirs) = (rank_of($module), rank_of($name =~ s/\.h$//r));
				print "$at of rank $mine, includes '$name' of rank $theirs\n"
					if defined $mine && defined $theirs && $theirs > $mine;
			}
			for (grep { $file =~ $_->{file} } @pure) {
				print "$at decides, so it may not include '$name'\n" if !$is_own && !$_->{may}{$name};
			}
		}
		for my $h (grep { $name =~ $_->{name} && !($_->{system} && $quote ne '<') } @header) {
			print "$at only $h->{text} may include '$name'\n" unless grep { $file =~ $_ } @{ $h->{files} };
		}
	}
}
