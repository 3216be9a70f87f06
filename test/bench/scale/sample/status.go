// SPDX-License-Identifier: Apache-2.0

package sample

import "fmt"

const kernelDriver = `{"name":"edu","state":"Ready","reason":"ModuleLoaded","message":"staged","artifact":"%s","buildSeconds":%d,"generation":%d}`

// AppendStatus adds what an agent says, as JSON: of a machine with two devices, 38 other PCI functions and two installed kernels.
func AppendStatus(b []byte, i int, gen int64, version string) []byte {
	const a = "5d1f0c4b9a8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a392817060000"
	b = fmt.Appendf(b, `{"observedGeneration":1,"bootID":%q,"kernel":"6.1.0-47-amd64","agentVersion":"0.1.0","nextKernel":"6.1.0-56-amd64","nextKernelState":"Ready","driversDesired":1,"driversReady":1,"hardware":[`, NodeUID(i))
	for h := 0; h < 38; h++ {
		b = fmt.Appendf(b, `"pci:8086:%04x",`, 0x2000+h)
	}
	b = append(b, `"pci:1234:11e8"],"kernels":[{"release":"6.1.0-47-amd64","running":true,"next":false,"drivers":[`...)
	b = fmt.Appendf(b, kernelDriver, a, 12, gen)
	b = append(b, `]},{"release":"6.1.0-56-amd64","running":false,"next":true,"drivers":[`...)
	b = fmt.Appendf(b, kernelDriver, a, 0, gen)
	b = fmt.Appendf(b, `]}],"drivers":[{"name":"edu","generation":%d,"state":"Loaded","version":%q,"loadedVersion":%q,"reason":"ModuleLoaded","message":"","artifact":%q,"srcversion":"0123456789ABCDEF","devices":2,"bound":2}],"devices":[`, gen, version, version, a)
	for d := 0; d < 2; d++ {
		if d > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":"0000:%d1:00.0","bus":"PCI","vendor":"1234","device":"11e8","driver":"edu","numaNode":%d,"pcieRoot":"pci0000:%d0","health":"Healthy","resourceName":"farrier.dev/edu","class":"edu"}`, d+2, d, d+2)
	}
	return append(b, `]}`...)
}
