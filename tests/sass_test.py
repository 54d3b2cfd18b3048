#!/usr/bin/env python3
"""scripts/check_sass.py reads machine code as cuobjdump prints it and sees each way to be worse."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))
import check_sass  # noqa: E402

NAME = "_ZN7diabolo7kernels4cuda19tile_product_kernelINS0_3gpu7MmaLoopI4Bf16EEEEvi"
LOOP = """
        /*0040*/                   LDGSTS.E.BYPASS.128 [R4+0x10], [R2.64], P0 ; /* 0x0 */
                                                                                /* 0x0 */
        /*0050*/                   LDGDEPBAR ;                                  /* 0x0 */
        /*0060*/                   LDSM.16.M88.4 R8, [R4] ;                     /* 0x0 */
""" + "".join(f"        /*00{n:x}0*/      HMMA.16816.F32.BF16 R8, R8, R4, R8 ;  /* 0x0 */\n"
              for n in range(7, 15)) + """
        /*00f0*/                   IADD3 R4, R4, 0x1, RZ ;                      /* 0x0 */
        /*0100*/               @P0 BRA 0x40 ;                                   /* 0x0 */
"""
CODE = f"""
	code for sm_80
		Function : {NAME}
	.headerflags	@"EF_CUDA_SM80"
        /*0000*/                   MOV R1, c[0x0][0x28] ;                       /* 0x0 */
        /*0010*/              @!P1 LDG.E.U16.CONSTANT R2, [R2.64] ;             /* 0x0 */
        /*0020*/                   LDG.E.LTC128B R2, [R2.64] ;                  /* 0x0 */
{LOOP}
        /*0110*/                   STG.E.128 [R2.64], R4 ;                      /* 0x0 */
        /*0120*/                   STG.E [R2.64], R4 ;                          /* 0x0 */
        /*0130*/                   EXIT ;                                       /* 0x0 */
        /*0140*/                   BRA 0x140;                                   /* 0x0 */
"""
SHORT = "tile_product_kernel<MmaLoop<Bf16,>>"


def found(code=CODE, name=SHORT):
    one, = check_sass.parse_sass(code.splitlines()).values()
    one.blocks = 2
    return {name: {"sm_80": one}}


def problems(code=CODE, blocks=2, name=SHORT):
    with tempfile.TemporaryDirectory() as folder:
        budget = pathlib.Path(folder) / "budget.txt"
        budget.write_text(check_sass.budget_text(found(name=name), {}))
        kernels = found(code, name)
        kernels[name]["sm_80"].blocks = blocks
        return check_sass.judge(kernels, check_sass.read_budget(budget), {"sm_80"})


def main():
    one = found()[SHORT]["sm_80"]
    assert (one.load, one.narrow_loads, one.store, one.narrow_stores) == (16, 2, 16, 1), one
    assert (one.step, one.work, one.local) == (3, 10, 0), one
    assert problems() == [], problems()

    scalar = "".join(f"        /*02{n}0*/   STG.E [R2.64+{n}], R4 ; /* 0x0 */\n" for n in range(4))
    for what, planted in (
            ("expected at least 16 bytes the widest store, found 4 on sm_80",
             CODE.replace("STG.E.128", "STG.E")),
            ("expected at least 16 bytes the widest load, found 8",
             CODE.replace("BYPASS.128", "64")),
            ("expected at most 1 narrow stores, found 5",
             CODE.replace("        /*0130*/", scalar + "        /*0130*/")),
            ("expected at most 3 instructions a step beside its work, found 5",
             CODE.replace("/*00f0*/", "/*00f1*/ IADD3 R4, R4, R4, RZ ; /* 0x0 */\n" * 2
                          + "        /*00f8*/")),
            ("expected HMMA.16816.F32.BF16 in the main loop, found none",
             CODE.replace("HMMA.16816", "HMMA.1688")),
            ("expected LDSM.16. in the main loop, found none", CODE.replace("LDSM.16", "LDS")),
            ("expected no stack or local memory", CODE.replace("MOV R1,", "STL [R1],")),
            *(("expected no atomics or generic accesses, found 1 on sm_80",
               CODE.replace("MOV R1,", opcode + " R1,"))
              for opcode in ("LD.E.128", "ST.E", "ATOM.E.ADD", "ATOMG.E.ADD.F32", "RED.E.ADD"))):
        wrong = problems(planted)
        assert any(f"{SHORT}: {what}" in line for line in wrong), (what, wrong)
    # Arrivals of blocks: only in kernels that hand on, and only in order.
    arrival = "".join(f"        /*00{n}8*/  {opcode} ; /* 0x0 */\n" for n, opcode in enumerate(
        ("BAR.SYNC.DEFER_BLOCKING 0x0", "MEMBAR.SC.GPU", check_sass.COUNTS + " R1, [R2.64]",
         "CCTL.IVALL", "BAR.SYNC.DEFER_BLOCKING 0x0")))
    first = "        /*0000*/"
    counting = CODE.replace(first, arrival + first)
    assert any("expected no arrivals" in line for line in problems(counting)), counting
    for lacking in ("MEMBAR", "CCTL"):
        wrong = problems(counting.replace(lacking, "NOP"))
        assert any("expected MEMBAR before an arrival and CCTL.IVALL" in line for line in wrong)
    counts = "optimizer_kernel"
    assert problems(counting, name=counts) == [], problems(counting, name=counts)
    assert any("expected some arrivals" in line for line in problems(name=counts))
    # Of loops whose copies are as wide the one that takes most is judged; all have what is needed.
    second = "\n".join(line for line in LOOP.splitlines() if "IADD3" not in line)
    for at, moved in (("/*00", "/*04"), ("/*01", "/*05"), ("BRA 0x40", "BRA 0x440")):
        second = second.replace(at, moved)
    two = CODE.replace("        /*0110*/", second + "\n        /*0110*/")
    assert found(two)[SHORT]["sm_80"].step == 3, found(two)
    assert not problems(two.replace("LDSM.16.M88", "LDSM.16.MT88", 1)), two
    wrong = problems(two.replace("LDSM.16", "LDSM.8", 1))
    assert len(wrong) == 1 and "expected LDSM.16. in the main loop" in wrong[0], wrong

    assert "expected at least 2 resident blocks, found 1" in problems(blocks=1)[0]
    assert check_sass.judge({}, {SHORT: one}, set()) and check_sass.judge(found(), {}, set())
    missing, = check_sass.judge(found(), {SHORT: found()[SHORT]["sm_80"]}, {"sm_80", "sm_90a"})
    assert f"{SHORT}: expected machine code for sm_90a, found none" in missing
    assert {"sm_80", "sm_90a", "sm_120"} <= check_sass.shipped_archs()

    # A worse count that holds does not become the budget; a better one, and one beyond it, does.
    for narrow, said in ((1, 1), (2, 1), (3, 3), (0, 0)):
        worse = check_sass.dataclasses.replace(one, narrow_stores=narrow)
        assert check_sass.kept(worse, one).narrow_stores == said, narrow
        assert f" {said}     3   10  {SHORT}" in check_sass.budget_text(
            {SHORT: {"sm_80": worse}}, {SHORT: one}), narrow

    assert check_sass.resident_blocks(128, 256, "sm_80") == 2
    assert check_sass.resident_blocks(129, 256, "sm_80") == 1
    assert check_sass.resident_blocks(32, 256, "sm_86") == 6
    assert check_sass.resident_blocks(32, 32, "sm_90a") == 32
    print("passed")


if __name__ == "__main__":
    main()
