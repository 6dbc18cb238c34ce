import Foundation
import QcnnOps
import XCTest

/// The C interface from Swift, without a runtime. What the ops compute is tested in C++ and in QcnnKit.
final class QcnnOpsTests: XCTestCase {
  private let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private func golden(_ name: String) throws -> Data {
    try Data(contentsOf: folder.appendingPathComponent("tests/golden/" + name))
  }

  func testVersionIsThatOfTheCMakeProject() throws {
    let cmake = try String(
      contentsOf: folder.appendingPathComponent("CMakeLists.txt"), encoding: .utf8)
    let version = String(cString: qcnn_version())
    XCTAssertTrue(cmake.contains("project(qcnn_ops VERSION \(version) "), version)
  }

  func testKernelsOfAllInstructionSetsAreInTheBuild() {
    var names: [String] = []
    var index = 0
    var name: UnsafePointer<CChar>?
    var features: UnsafePointer<CChar>?
    var available: Int32 = 0
    while qcnn_kernels(index, &name, &features, &available) == QCNN_OK, let name {
      names.append(String(cString: name))
      index += 1
    }
    #if arch(arm64)
      XCTAssertEqual(names, ["neon_dotprod", "neon", "reference"])
    #else
      XCTAssertEqual(names, ["avx512_vnni", "avx512", "avx2", "reference"])
    #endif
    XCTAssertTrue(names.contains(String(cString: qcnn_selected_kernel())))
  }

  func testDelegates() {
    let delegate = qcnn_delegate_create("reference", UInt32(QCNN_WITHOUT_LRN))
    XCTAssertNotNil(delegate)
    qcnn_delegate_delete(delegate)
    XCTAssertNil(qcnn_delegate_create("no such kernel", 0))
    XCTAssertNil(qcnn_delegate_create("auto", 0x8000))
  }

  func testAModelIsWholeOrDamaged() throws {
    let model = try golden("small.tflite")
    var info = QcnnModelInfo()
    let whole = model.withUnsafeBytes { qcnn_check_model($0.baseAddress, $0.count, &info) }
    XCTAssertEqual(whole, QCNN_OK)
    XCTAssertEqual([info.qconv, info.qfc, info.lrn], [1, 1, 0])
    XCTAssertNil(info.foreign_op)
    let half = model.prefix(model.count / 2)
    let cut = half.withUnsafeBytes { qcnn_check_model($0.baseAddress, $0.count, &info) }
    XCTAssertEqual(cut, QCNN_DAMAGED)
  }
}
