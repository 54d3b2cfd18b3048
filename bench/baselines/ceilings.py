"""What this GPU can do at most, as PyTorch reaches it: name, value, unit, tab-separated."""
import time

import torch


def seconds(call, rounds=7, each=10):
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(each):
            call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / each)
    return sorted(times)[rounds // 2]


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    for n in (1024, 4096, 8192):
        for dtype in (torch.bfloat16, torch.float32):
            a, b = (torch.rand(n, n, device="cuda", dtype=dtype) - 0.5 for _ in range(2))
            rate = 2 * n ** 3 / seconds(lambda: a @ b)
            print(f"torch product {n} {str(dtype)[6:]}", rate, "flop/s", sep="\t")
    source = torch.rand(1 << 29, device="cuda")
    target = torch.empty_like(source)
    rate = 2 * source.nbytes / seconds(lambda: target.copy_(source))
    print("device copy", rate, "B/s", sep="\t")
    host = torch.rand(1 << 28).pin_memory()
    rate = host.nbytes / seconds(lambda: target[:1 << 28].copy_(host, non_blocking=True), each=3)
    print("pinned host to device", rate, "B/s", sep="\t")


if __name__ == "__main__":
    main()
