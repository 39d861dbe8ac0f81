#!/usr/bin/env python3
"""docs/examples/pj-rootfs: images of our own making, honest and hostile ones."""
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

SOURCE = os.environ.get("PJ_TEST_SRC", os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(SOURCE, "tests/support"))
from oci import entry, layer, make_layout  # noqa: E402

SHELL = entry("bin/sh", b"#!\n", 0o755)
SYM, LNK, DIR, CHR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE


class Rootfs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pj-rootfs-")
        self.dir = self.folder.name
        self.outside = os.path.join(self.dir, "outside")
        os.mkdir(self.outside)

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, *args, **more):
        return subprocess.run([sys.executable, os.path.join(SOURCE, "docs/examples/pj-rootfs"), "--state-dir", self.dir, *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **more)

    def make(self, *layers, **more):
        """The new root's path."""
        layout = os.path.join(self.dir, "layout")
        make_layout(layout, [layer(l) for l in layers], **more)
        done = self.run_tool("--replace", "box", f"oci:{layout}")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(os.listdir(os.path.join(self.dir, "rootfs")), ["box"], "nothing of the work is left")
        return os.path.join(self.dir, "rootfs/box")

    def refused(self, word, *args, **more):
        done = self.run_tool(*args, **more)
        self.assertEqual(done.returncode, 1, done.stdout.decode())
        self.assertIn(word, done.stderr.decode())
        self.assertFalse([n for n in os.listdir(os.path.join(self.dir, "rootfs")) if n.startswith(".")]
                         if os.path.isdir(os.path.join(self.dir, "rootfs")) else [])

    def test_layers_are_laid_over_one_another(self):
        root = self.make([SHELL, entry("a", b"1"), entry("d/x", b"x"), entry("d/y", b"y"), entry("o/old", b"o"), entry("f", b"f")],
                         [entry("a", b"2"), entry("d/.wh.x"), entry("o/.wh..wh..opq"), entry("o/new", b"n"),
                          entry("f", kind=DIR, mode=0o755), entry("f/in", b"i"), entry(".wh.none")], packed=False)
        def read(name):
            with open(os.path.join(root, name), encoding="utf-8") as f:
                return f.read()

        self.assertEqual(read("a"), "2")
        self.assertEqual(os.listdir(os.path.join(root, "d")), ["y"])
        self.assertEqual(os.listdir(os.path.join(root, "o")), ["new"])
        self.assertEqual(read("f/in"), "i")

    def test_merged_usr_goes_on_working(self):
        root = self.make([entry("usr/bin", kind=DIR, mode=0o755), entry("bin", kind=SYM, target="usr/bin"), SHELL],
                         [entry("bin", kind=DIR, mode=0o755), entry("bin/tool", b"t", 0o755), entry("usr/bin/hard", kind=LNK, target="bin/tool")])
        self.assertEqual(os.readlink(os.path.join(root, "bin")), "usr/bin")
        self.assertEqual(sorted(os.listdir(os.path.join(root, "usr/bin"))), ["hard", "sh", "tool"])

    def test_nothing_leads_out(self):
        root = self.make([SHELL, entry("../evil", b"e"), entry("/abs", b"a"), entry("x/../../../evil2", b"e"),
                          entry("link", kind=SYM, target=self.outside), entry("up", kind=SYM, target="../../outside")],
                         [entry("link/one", b"1"), entry("up/two", b"2"), entry("link/.wh.three")])
        self.assertEqual(os.listdir(self.outside), [])
        self.assertFalse(os.path.exists(os.path.join(self.dir, "evil")))
        self.assertFalse(os.path.exists(os.path.join(self.dir, "rootfs/evil")))
        self.assertTrue(os.path.exists(root + self.outside + "/one"), "an absolute link means the new root's own")

    def test_a_hard_link_cannot_name_the_host(self):
        secret = os.path.join(self.outside, "secret")
        open(secret, "w", encoding="utf-8").close()
        layout = os.path.join(self.dir, "layout")
        make_layout(layout, [layer([SHELL, entry("steal", kind=LNK, target=secret)])])
        self.refused("hard link", "box", f"oci:{layout}")

    def test_bits_and_devices_are_left_behind(self):
        root = self.make([SHELL, entry("su", b"s", 0o4755), entry("shadow", b"s", 0o600), entry("dev/null", kind=CHR),
                          entry("tmp", kind=DIR, mode=0o1777), entry("root", kind=DIR, mode=0o700)])
        mode = lambda name: stat.S_IMODE(os.lstat(os.path.join(root, name)).st_mode)
        self.assertEqual(mode("su"), 0o755)
        self.assertEqual(mode("shadow"), 0o644)
        self.assertEqual(mode("tmp"), 0o1777)
        self.assertEqual(mode("root"), 0o755)
        self.assertFalse(os.path.lexists(os.path.join(root, "dev/null")))

    def test_a_flat_tar_and_an_archive_do_too(self):
        flat = os.path.join(self.dir, "flat.tar")
        with open(flat, "wb") as f:
            f.write(layer([SHELL, entry("./etc/os-release", b"ID=x\n")]))
        self.assertEqual(self.run_tool("one", flat).returncode, 0)
        self.assertTrue(os.path.exists(os.path.join(self.dir, "rootfs/one/etc/os-release")))
        with open(flat, "rb") as f:
            self.assertEqual(self.run_tool("two", "-", stdin=f).returncode, 0)
        layout, archive = os.path.join(self.dir, "layout"), os.path.join(self.dir, "image.tar")
        make_layout(layout, [layer([SHELL, entry("from-archive", b"y")])])
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(layout, arcname=".")
        done = self.run_tool("three", archive)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertTrue(os.path.exists(os.path.join(self.dir, "rootfs/three/from-archive")))

    def test_mistakes_are_named(self):
        layout = os.path.join(self.dir, "layout")
        make_layout(layout, [layer([SHELL])], tag="v1")
        self.refused("no plain name", "../box", f"oci:{layout}")
        self.refused("no image v2", "box", f"oci:{layout}:v2")
        self.refused("no OCI image layout", "box", f"oci:{self.outside}")
        self.refused("no file and no image", "box", "--no-such thing")
        self.refused("--max-bytes", "--max-bytes", "1", "box", f"oci:{layout}")
        self.assertEqual(self.run_tool("box", f"oci:{layout}:v1").returncode, 0)
        self.refused("--replace", "box", f"oci:{layout}")
        make_layout(layout, [layer([entry("etc/x", b"1")])])
        self.refused("/bin/sh", "other", f"oci:{layout}")
        os.truncate(os.path.join(layout, "index.json"), 10)
        self.refused("no image that can be read", "other", f"oci:{layout}")


if __name__ == "__main__":
    unittest.main()
