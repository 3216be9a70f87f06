#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# For the guest: pcioff.pl PORT surprise|fall   turns the power controller and indicator of a PCIe hotplug port off behind
# the kernel's back; QEMU then takes the card away at once. surprise: power is on again before the kernel's hotplug driver
# looks, which then sees a card that was pulled without a word. fall: power stays off; the driver takes that for its own
# doing and leaves the dead card and its driver in place: fallen off the bus, all reads give ones.
use strict;
use warnings;
my ($port, $how) = @ARGV;
open(my $f, '+<:raw', "/sys/bus/pci/devices/$port/config") or die "$port: $!\n";

sub get {
	my ($at, $n) = @_;
	sysseek($f, $at, 0);
	sysread($f, my $bytes, $n) == $n or die "$port: $!\n";
	return $bytes;
}
my $cap = unpack('C', get(0x34, 1));
while ($cap) {
	my ($id, $next) = unpack('CC', get($cap, 2));
	last if $id == 0x10;
	$cap = $next;
}
$cap or die "$port: no PCIe capability\n";
my $control = unpack('v', get($cap + 0x18, 2));
my $off = pack('v', $control | 0x0700);
my $on = pack('v', ($control | 0x0700) & ~0x0600);
sysseek($f, $cap + 0x18, 0);
syswrite($f, $off) == 2 or die "$port: $!\n";
exit 0 if $how eq 'fall';
sysseek($f, $cap + 0x18, 0);
syswrite($f, $on) == 2 or die "$port: $!\n";
